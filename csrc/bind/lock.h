// The interpreter's lock, given back and taken again. For this folder alone.
//
// A thread that wants the lock once the interpreter has begun to end does not get it: up to CPython 3.13 it is ended where it
// stands, in the middle of C++, which ends the whole process with std::terminate. So from then on such threads sleep until the
// process is gone, as CPython itself has it from 3.14 on.
#pragma once

#include <pthread.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace fastnst {

// Where threads pass that want the lock.
class Gate {
 public:
  Gate() {
    passing_++;
    if (closed_ && std::this_thread::get_id() != ending_) {
      passing_--;
      for (;;) pause();
    }
  }
  ~Gate() { passing_--; }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // To be called once, with the lock: has the interpreter close the gate before it ends.
  static void close_at_exit() {
    pthread_atfork(nullptr, nullptr, [] { passing_ = 0; });  // a child has none of the other threads
    pybind11::module_::import("atexit").attr("register")(pybind11::cpp_function(&close));
  }

 private:
  // Lets pass who is passing. A call of Python that takes longer than that waits for something else than the lock.
  static void close() {
    ending_ = std::this_thread::get_id(), closed_ = true;
    const pybind11::gil_scoped_release release;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (passing_ > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }

  inline static std::atomic<bool> closed_{false};
  inline static std::atomic<int> passing_{0};
  inline static std::thread::id ending_;
};

// While one lives, its thread is without the lock.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    const Gate gate;
    PyEval_RestoreThread(state_);
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// While one lives, its thread has the lock. It is passing as long, for the C++ that is below it must not be ended either.
class Locked {
 private:
  Gate gate_;
  pybind11::gil_scoped_acquire lock_;
};

}  // namespace fastnst
