// Eigenvalues and eigenvectors of many symmetric matrices at once, in float64, by cuSOLVER: torch.linalg.eigh does one by one.
//
// A plain C interface of pointers and sizes that links neither PyTorch nor cuSOLVER, so that one library serves every version
// of both: cuSOLVER is the one that the process has, opened by name. Every function returns nullptr, or one line that says what
// failed, which stays valid in its thread until the next call.

#include <cuda_runtime.h>
#include <dlfcn.h>
#include <math_constants.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

#if __has_include(<cusolverDn.h>) && __has_include(<cublas_v2.h>)
#include <cusolverDn.h>
#else
// What cusolverDn.h declares of this, for machines that have a compiler of CUDA and no more.
extern "C" {
typedef struct cusolverDnContext* cusolverDnHandle_t;
typedef struct cusolverDnParams* cusolverDnParams_t;
typedef enum { CUSOLVER_STATUS_SUCCESS = 0 } cusolverStatus_t;
typedef enum { CUSOLVER_EIG_MODE_VECTOR = 1 } cusolverEigMode_t;
typedef enum { CUBLAS_FILL_MODE_LOWER = 0 } cublasFillMode_t;
cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle);
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle);
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);
cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* params);
cusolverStatus_t cusolverDnXsyevBatched_bufferSize(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz,
                                                   cublasFillMode_t uplo, int64_t n, cudaDataType a_type, const void* a,
                                                   int64_t lda, cudaDataType w_type, const void* w, cudaDataType compute_type,
                                                   size_t* device_bytes, size_t* host_bytes, int64_t batch);
cusolverStatus_t cusolverDnXsyevBatched(cusolverDnHandle_t handle, cusolverDnParams_t params, cusolverEigMode_t jobz,
                                        cublasFillMode_t uplo, int64_t n, cudaDataType a_type, void* a, int64_t lda,
                                        cudaDataType w_type, void* w, cudaDataType compute_type, void* device_buffer,
                                        size_t device_bytes, void* host_buffer, size_t host_bytes, int* info, int64_t batch);
}
#endif

#define FASTNST_API extern "C" __attribute__((visibility("default")))

namespace {

// PyTorch hands out its 32 streams of each priority again and again; a program that makes its own has no end of them.
constexpr size_t kHandles = 128;

struct Solver {
  decltype(&cusolverDnCreate) create;
  decltype(&cusolverDnDestroy) destroy;
  decltype(&cusolverDnSetStream) set_stream;
  decltype(&cusolverDnCreateParams) create_params;
  decltype(&cusolverDnXsyevBatched_bufferSize) buffer_size;
  decltype(&cusolverDnXsyevBatched) solve;
};

Solver solver;
bool opened = false;
// One for each stream of each device. A handle has memory of its own on the device, in which kernels of two streams would meet:
// setting another stream before each call orders the calls, not the kernels. Made when first needed, and not destroyed at exit,
// when CUDA may already be gone.
std::map<std::pair<int, cudaStream_t>, cusolverDnHandle_t> handles;
cusolverDnParams_t params = nullptr;
// Of the handles, and of each call: a handle has one user at a time.
std::mutex mutex;

const char* failure(const char* format, ...) {
  static thread_local char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

const char* check(cudaError_t error, const char* what) {
  return error == cudaSuccess ? nullptr : failure("%s: %s", what, cudaGetErrorString(error));
}

const char* check(cusolverStatus_t status, const char* what) {
  return status == CUSOLVER_STATUS_SUCCESS ? nullptr : failure("%s: cuSOLVER's status %d", what, static_cast<int>(status));
}

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// Destroys all handles, when nothing uses them any more.
const char* forget() {
  while (!handles.empty()) {
    const auto each = handles.begin();
    if (const char* error = check(cudaSetDevice(each->first.first), "cudaSetDevice")) return error;
    if (const char* error = check(cudaDeviceSynchronize(), "cudaDeviceSynchronize")) return error;
    const cusolverDnHandle_t handle = each->second;
    handles.erase(each);
    if (const char* error = check(solver.destroy(handle), "cusolverDnDestroy")) return error;
  }
  return nullptr;
}

// Makes `device` current, also for this library's own copy of the CUDA runtime, and finds the handle of its `stream`.
const char* enter(int device, cudaStream_t stream, cusolverDnHandle_t& handle) {
  if (!opened) return failure("cuSOLVER has not been opened");
  if (const char* error = check(cudaSetDevice(device), "cudaSetDevice")) return error;
  if (params == nullptr) {
    if (const char* error = check(solver.create_params(&params), "cusolverDnCreateParams")) return error;
  }
  auto found = handles.find({device, stream});
  if (found == handles.end()) {
    if (handles.size() >= kHandles) {
      if (const char* error = forget()) return error;
      if (const char* error = check(cudaSetDevice(device), "cudaSetDevice")) return error;
    }
    if (const char* error = check(solver.create(&handle), "cusolverDnCreate")) return error;
    found = handles.emplace(std::pair{device, stream}, handle).first;
  }
  handle = found->second;
  // Each time: a stream may be a new one where an earlier one was.
  return check(solver.set_stream(handle, stream), "cusolverDnSetStream");
}

// A matrix whose iteration failed must not pass for a result: its eigenvalues and eigenvectors become NaN, without waiting for
// anybody to look at `info`.
__global__ void spoil(double* matrices, double* values, const int* info, int64_t n) {
  if (info[blockIdx.x] == 0) return;
  double* matrix = matrices + blockIdx.x * n * n;
  for (int64_t i = threadIdx.x; i < n * n; i += blockDim.x) matrix[i] = CUDART_NAN;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) values[blockIdx.x * n + i] = CUDART_NAN;
}

}  // namespace

// Opens cuSOLVER, once per process; `library` is a path or a name.
FASTNST_API const char* fastnst_open(const char* library) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (opened) return nullptr;
  void* found = dlopen(library, RTLD_NOW);
  if (found == nullptr) return failure("%s", dlerror());
  Solver loaded{};
  const bool complete = find(found, "cusolverDnCreate", loaded.create) && find(found, "cusolverDnDestroy", loaded.destroy) &&
                        find(found, "cusolverDnSetStream", loaded.set_stream) &&
                        find(found, "cusolverDnCreateParams", loaded.create_params) &&
                        find(found, "cusolverDnXsyevBatched_bufferSize", loaded.buffer_size) &&
                        find(found, "cusolverDnXsyevBatched", loaded.solve);
  if (!complete) return failure("%s has no cusolverDnXsyevBatched, which came with CUDA 12.6.2", library);
  solver = loaded;
  opened = true;
  return nullptr;
}

// Bytes of scratch memory that fastnst_eigh needs on the device and on the host, in the same stream.
FASTNST_API const char* fastnst_eigh_scratch(int device, int64_t n, int64_t batch, const double* matrices, const double* values,
                                             size_t* device_bytes, size_t* host_bytes, cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  cusolverDnHandle_t handle;
  if (const char* error = enter(device, stream, handle)) return error;
  return check(solver.buffer_size(handle, params, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n, CUDA_R_64F, matrices, n,
                                  CUDA_R_64F, values, CUDA_R_64F, device_bytes, host_bytes, batch),
               "cusolverDnXsyevBatched_bufferSize");
}

// `matrices` [batch, n, n] become their eigenvectors, one after the other (so rows, as C arrays go), `values` [batch, n] their
// eigenvalues in ascending order. `info` [batch] is scratch memory. All is done in `stream`.
FASTNST_API const char* fastnst_eigh(int device, int64_t n, int64_t batch, double* matrices, double* values, int* info,
                                     void* device_scratch, size_t device_bytes, void* host_scratch, size_t host_bytes,
                                     cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex);
  cusolverDnHandle_t handle;
  if (const char* error = enter(device, stream, handle)) return error;
  if (const char* error = check(
          solver.solve(handle, params, CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_LOWER, n, CUDA_R_64F, matrices, n, CUDA_R_64F,
                       values, CUDA_R_64F, device_scratch, device_bytes, host_scratch, host_bytes, info, batch),
          "cusolverDnXsyevBatched"))
    return error;
  spoil<<<static_cast<unsigned>(batch), 256, 0, stream>>>(matrices, values, info, n);
  return check(cudaGetLastError(), "spoil");
}
