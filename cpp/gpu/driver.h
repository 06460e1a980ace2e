#pragma once
#include <string>

namespace e3md::gpu {

/// A GPU through the CUDA driver, which is opened when the first one is asked for. Its context is
/// the one that torch uses.
class Device {
 public:
  /// Throws where there is no driver, or no such GPU.
  static const Device& get(int index);

  /// Such as 90, for architecture sm_90.
  int capability() const { return capability_; }

 private:
  friend class Module;
  explicit Device(int index);

  int capability_;
  void* context_ = nullptr;
};

/// Machine code on one GPU, for as long as the process lives.
class Module {
 public:
  /// Throws where the driver does not take the code.
  Module(const std::string& cubin, const Device& device);

  /// Enqueues a grid of x * y blocks; argument: the kernel's only one.
  void launch(const std::string& kernel, unsigned x, unsigned y, unsigned threads, void* argument,
              void* stream) const;

 private:
  const Device& device_;
  void* module_ = nullptr;
};

}  // namespace e3md::gpu
