# The module for NVIDIA's graphics processors. It needs nvcc, of a toolkit or of the wheels that
# docs/gpu.md names, and no device. It runs without a driver: then it says so.

set(wheels "${Python_SITELIB}/nvidia/cu13")
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS "${wheels}/bin/nvcc")
    set(CMAKE_CUDA_COMPILER "${wheels}/bin/nvcc")
    # nvcc looks for its libraries in lib64, and the wheels have them in lib.
    set(ENV{LIBRARY_PATH} "${wheels}/lib")
    link_directories("${wheels}/lib")
endif()
# One for each generation that CUDA 13 knows and people have, all from one intermediate code, which
# takes half of the time of each; it comes along for later ones, whose drivers compile it.
set(architectures ${CMAKE_CUDA_ARCHITECTURES})
if(NOT architectures)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
    set(architectures 80 90 100 120)
    list(TRANSFORM architectures PREPEND "sm_" OUTPUT_VARIABLE codes)
    list(JOIN codes "," codes)
    set(architecture_flags "SHELL:-gencode=arch=compute_80,code=[${codes},compute_80]")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
    message(FATAL_ERROR "DEEPLINEAR_CUDA needs nvcc 13; ${CMAKE_CUDA_COMPILER} is ${CMAKE_CUDA_COMPILER_VERSION}.")
endif()

file(GLOB cuda_sources CONFIGURE_DEPENDS cpp/cuda/*.cu)
pybind11_add_module(_core_cuda MODULE NO_EXTRAS cpp/bindings_cuda/module.cpp ${cuda_sources})
set_target_properties(_core_cuda PROPERTIES
    CUDA_RUNTIME_LIBRARY Static
    CXX_VISIBILITY_PRESET hidden
    CUDA_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
target_include_directories(_core_cuda PRIVATE cpp cpp/core)
# A product and a sum are fused only where the source says so, as on the processor; 1675: nvcc
# unrolls loops without GCC's pragma.
target_compile_options(_core_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -fmad=false -Xptxas=-v -diag-suppress=1675
    -compress-mode=size
    $<$<BOOL:${DEEPLINEAR_WERROR}>:-Werror=all-warnings>>)
if(architecture_flags)
    target_compile_options(_core_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${architecture_flags}>")
endif()
target_link_options(_core_cuda PRIVATE ${export_flags})
list(JOIN architectures " " architectures)
target_compile_definitions(_core_cuda PRIVATE
    DEEPLINEAR_VERSION="${PROJECT_VERSION}"
    DEEPLINEAR_CUDA_TOOLKIT="${CMAKE_CUDA_COMPILER_VERSION}"
    DEEPLINEAR_CUDA_ARCHITECTURES="${architectures}")
set(cuda_home "deeplinear")
if(DEEPLINEAR_CUDA STREQUAL "ONLY")
    set(cuda_home "deeplinear_cuda13")
endif()
install(TARGETS _core_cuda LIBRARY DESTINATION ${cuda_home})
