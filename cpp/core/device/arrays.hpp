// Arrays in the memory of a device, and problems whose arrays lie there.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "device/table.hpp"
#include "lanes/chain_stages.hpp"
#include "lanes/sample_gradient.hpp"

namespace deeplinear {

// Throws what a function of a device says.
inline void require_success(const char* failure) {
  if (failure) throw std::runtime_error(failure);
}

// There is not so much memory left on a device.
class NoDeviceMemory : public std::bad_alloc {
 public:
  explicit NoDeviceMemory(std::size_t bytes)
      : text_("device must have " + std::to_string(bytes >> 20) +
              " MiB more of free memory; take fewer threads, or wait until others have ended.") {}

  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// `count` numbers
template <class T>
class DeviceArray {
 public:
  DeviceArray(const DeviceTable& device, std::size_t count) : device_(device) {
    if (count == 0) return;
    data_ = static_cast<T*>(device.allocate(device.device, count * sizeof(T)));
    if (!data_) throw NoDeviceMemory(count * sizeof(T));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() {
    if (data_) device_.release(device_.device, data_);
  }

  T* data() const { return data_; }

  void upload(std::span<const T> from, std::size_t first = 0) const {
    if (from.empty()) return;
    require_success(device_.upload(device_.device, data_ + first, from.data(), from.size_bytes()));
  }
  void download(std::span<T> to, std::size_t first = 0) const {
    if (to.empty()) return;
    require_success(device_.download(device_.device, to.data(), data_ + first, to.size_bytes()));
  }

 private:
  const DeviceTable& device_;
  T* data_ = nullptr;
};

// The numbers of a problem in a device's memory; view() is good as long as this lives.
template <class Data>
class DeviceProblem;

// What both kinds of problems need
class DeviceCopies {
 public:
  explicit DeviceCopies(const DeviceTable& device) : device_(device) {}

  template <class T>
  const T* keep(const T* from, std::size_t count) {
    if (!from || count == 0) return nullptr;
    auto array = std::make_shared<DeviceArray<T>>(device_, count);
    array->upload({from, count});
    kept_.push_back(array);
    return array->data();
  }
  Shape keep(Shape net) {
    const auto layers = std::size_t(net.layers);
    net.widths = keep(net.widths, layers + 1);
    net.weights = keep(net.weights, layers + 1);
    net.vectors = keep(net.vectors, layers + 1);
    net.segments = keep(net.segments, std::size_t(net.segment_count));
    return net;
  }
  template <class Scalar>
  ModesView<Scalar> keep(ModesView<Scalar> modes, std::size_t d) {
    const auto rank = std::size_t(modes.rank);
    modes.factor = keep(modes.factor, rank * d);
    modes.transposed = keep(modes.transposed, rank * d);
    modes.target = keep(modes.target, rank);
    return modes;
  }

 private:
  const DeviceTable& device_;
  std::vector<std::shared_ptr<void>> kept_;
};

template <class Scalar>
class DeviceProblem<ChainProblem<Scalar>> {
 public:
  DeviceProblem(const DeviceTable& device, const ChainProblem<Scalar>& from)
      : copies_(device), view_(from) {
    const auto d = std::size_t(from.risk.dimension);
    const auto outputs = std::size_t(from.net.widths[from.net.layers]);
    QuadraticView<Scalar>& risk = view_.risk;
    view_.net = copies_.keep(from.net);
    view_.readout = copies_.keep(from.readout, outputs);
    risk.minimizer = copies_.keep(risk.minimizer, d);
    risk.twice_covariance = copies_.keep(risk.twice_covariance, d * d);
    // Kernels know nothing of test data.
    risk.test_covariance = risk.test_half_gradient = nullptr;
    risk.test_modes = {};
    risk.modes = copies_.keep(risk.modes, d);
  }

  const ChainProblem<Scalar>& view() const { return view_; }

 private:
  DeviceCopies copies_;
  ChainProblem<Scalar> view_;
};

template <class Scalar>
class DeviceProblem<SampleProblem<Scalar>> {
 public:
  DeviceProblem(const DeviceTable& device, const SampleProblem<Scalar>& from)
      : copies_(device), view_(from) {
    const auto samples = std::size_t(from.blocks) * samples_at_once;
    const auto outputs = std::size_t(from.net.widths[from.net.layers]);
    view_.inputs = copies_.keep(from.inputs, samples * std::size_t(from.net.widths[0]));
    view_.net = copies_.keep(from.net);
    view_.targets = copies_.keep(from.targets, samples);
    view_.shares = copies_.keep(from.shares, samples);
    view_.readout = copies_.keep(from.readout, outputs);
  }

  const SampleProblem<Scalar>& view() const { return view_; }

 private:
  DeviceCopies copies_;
  SampleProblem<Scalar> view_;
};

}  // namespace deeplinear
