#pragma once
#include <string>
#include <vector>

namespace e3md::gpu {

/// A library opened at run time, for as long as the process lives.
class SharedObject {
 public:
  /// The first that opens: names are looked up as the loader does, paths are taken as they are.
  /// Throws where none does, with `missing` and what the loader said of the first.
  SharedObject(const std::vector<std::string>& names, const std::string& missing);

  /// Sets a pointer to a function of the library; throws if there is none of this name.
  template <class Function>
  void find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }

  /// The folder that it was found in.
  std::string folder() const;

 private:
  void* handle_ = nullptr;
  std::string name_;

  void* symbol(const char* name) const;
};

/// Files of a folder whose names begin so, sorted; none where there is no such folder.
std::vector<std::string> files_in(const std::string& folder, const std::string& beginning);

/// Folders where pip installs CUDA's libraries beside the torch that is loaded.
std::vector<std::string> folders_beside_torch();

}  // namespace e3md::gpu
