#include "cuda/functions.cuh"

template const void* deeplinear::cuda::function_of<float>(const KernelName&, bool);
