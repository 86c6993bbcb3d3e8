#include <cuda_runtime.h>
#include <memory>
#include <mutex>

#include "cuda/device.hpp"
#include "cuda/kernels.cuh"

namespace deeplinear::cuda {
namespace {

// A thread has a stream of its own, so that one looks at its runs while the other's work.
const cudaStream_t stream = cudaStreamPerThread;

const char* sentence(cudaError_t error) {
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();  // forgets it
  return cudaGetErrorString(error);
}

template <class Call>
const char* on_device(int device, Call call) {
  if (const cudaError_t error = cudaSetDevice(device)) return sentence(error);
  return sentence(call());
}

void* allocate(int device, std::size_t bytes) {
  void* memory = nullptr;
  return on_device(device, [&] { return cudaMalloc(&memory, bytes); }) ? nullptr : memory;
}

void release(int device, void* memory) {
  on_device(device, [&] { return cudaFree(memory); });
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, stream);
  return error ? error : cudaStreamSynchronize(stream);
}

const char* upload(int device, void* to, const void* from, std::size_t bytes) {
  return on_device(device, [&] { return copy(to, from, bytes, cudaMemcpyHostToDevice); });
}

const char* download(int device, void* to, const void* from, std::size_t bytes) {
  return on_device(device, [&] { return copy(to, from, bytes, cudaMemcpyDeviceToHost); });
}

const void* function(const KernelName& kernel, bool shared) {
  return kernel.single ? function_of<float>(kernel, shared) : function_of<double>(kernel, shared);
}

struct Launch {
  const void* function = nullptr;
  std::size_t shared = 0;
};

// The function of a kernel, and the shared memory of a block, where it has room
cudaError_t prepare(int device, const KernelName& kernel, std::size_t bytes, Launch& launch) {
  int room = 0;
  cudaError_t error =
      cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error) return error;
  const bool fits = bytes <= std::size_t(room);
  launch = {function(kernel, fits), fits ? bytes : 0};
  if (!fits) return cudaSuccess;
  return cudaFuncSetAttribute(launch.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              int(bytes));
}

const char* occupancy(int device, const KernelName& kernel, std::size_t bytes, long long* blocks,
                      bool* has_room) {
  return on_device(device, [&] {
    Launch launch;
    if (const cudaError_t error = prepare(device, kernel, bytes, launch)) return error;
    int multiprocessors = 0, each = 0;
    cudaError_t error =
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (error) return error;
    error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, launch.function, slots_per_block,
                                                          launch.shared);
    *blocks = static_cast<long long>(multiprocessors) * (each > 0 ? each : 1);
    *has_room = launch.shared > 0;
    return error;
  });
}

const char* run(int device, const KernelName& kernel, const void* task, long long blocks,
                std::size_t bytes) {
  return on_device(device, [&] {
    Launch launch;
    if (const cudaError_t error = prepare(device, kernel, bytes, launch)) return error;
    void* arguments[] = {const_cast<void*>(task)};
    const cudaError_t error =
        cudaLaunchKernel(launch.function, dim3(unsigned(blocks)), dim3(slots_per_block), arguments,
                         launch.shared, stream);
    return error ? error : cudaStreamSynchronize(stream);
  });
}

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

}  // namespace

std::string failure() {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (error == cudaSuccess && count > 0) return "";
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return "no NVIDIA driver is installed";
  }
  if (error == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old: it knows CUDA up to " + version(driver) + ", and " +
           version(CUDART_VERSION) + " is needed";
  }
  if (error == cudaErrorNoDevice || count == 0) return "no NVIDIA graphics processor is visible";
  return cudaGetErrorString(error);
}

std::vector<Processor> processors() {
  std::vector<Processor> found;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return found;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    found.push_back({properties.name, properties.major, properties.minor,
                     properties.multiProcessorCount, properties.totalGlobalMem,
                     properties.sharedMemPerBlockOptin});
  }
  return found;
}

const DeviceTable& table_of(int device) {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<DeviceTable>> tables;
  const std::lock_guard lock(mutex);
  for (const auto& table : tables) {
    if (table->device == device) return *table;
  }
  tables.push_back(std::make_unique<DeviceTable>(DeviceTable{
      DeviceTable::current_version, device, allocate, release, upload, download, occupancy, run}));
  return *tables.back();
}

}  // namespace deeplinear::cuda
