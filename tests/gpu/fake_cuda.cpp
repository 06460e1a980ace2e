// Stands in for libcuda and libnvrtc: "machine code" is a library of the emulated kernels, memory
// is the host's, and each call that matters leaves a line in the file FAKE_LOG. FAKE_FAIL names a
// function that fails.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace {

constexpr char kMagic[] = "FAKECODE";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

int done(const std::string& function, const std::string& with = "") {
  std::ofstream(variable("FAKE_LOG"), std::ios::app) << function << with << std::endl;
  return variable("FAKE_FAIL") == function ? 700 : 0;
}

std::string temporary(const char* ending) {
  std::string path = variable("FAKE_FOLDER") + "/XXXXXX" + ending;
  close(mkstemps(path.data(), int(std::strlen(ending))));
  return path;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Program {
  std::string text, code;
};

struct Function {
  void* library;
  std::string name;
};

int size_of(const std::string& text, size_t* size) {
  *size = text.size();
  return 0;
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return done("cuInit"); }
int cuGetErrorString(int, const char** text) {
  *text = "a planted failure";
  return 0;
}
int cuDeviceGet(int* device, int index) {
  *device = index;
  return done("cuDeviceGet");
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  static int some;
  *context = &some;
  return 0;
}
int cuCtxPushCurrent_v2(void*) { return 0; }
int cuCtxPopCurrent_v2(void**) { return 0; }

int cuModuleLoadData(void** module, const void* data) {
  if (std::memcmp(data, kMagic, 8) != 0) return done("cuModuleLoadData", " of damaged code") + 1;
  uint64_t size = 0;
  std::memcpy(&size, static_cast<const char*>(data) + 8, 8);
  const std::string path = temporary(".so");
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(data) + 16, std::streamsize(size));
  *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  return *module ? done("cuModuleLoadData") : 1;
}

int cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = new Function{module, name};
  return dlsym(module, name) ? 0 : 1;
}

int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned,
                   unsigned, unsigned shared, void*, void** arguments, void**) {
  const auto& f = *static_cast<Function*>(function);
  using Launch = bool(void*, void*, int, int, int, unsigned);
  const auto launch = reinterpret_cast<Launch*>(dlsym(f.library, "launch"));
  const int failed =
      done("cuLaunchKernel", " " + f.name + " " + std::to_string(x) + " " + std::to_string(y) +
                                 " " + std::to_string(z) + " " + std::to_string(threads) + " " +
                                 std::to_string(shared));
  if (failed) return failed;
  return launch(dlsym(f.library, f.name.c_str()), arguments[0], int(x), int(y), int(threads), 0)
             ? 0
             : 719;
}

int nvrtcVersion(int* major, int* minor) {
  *major = 13, *minor = 0;
  return 0;
}
int nvrtcCreateProgram(void** program, const char* text, const char*, int, const char* const*,
                       const char* const*) {
  *program = new Program{text, ""};
  return 0;
}
int nvrtcCompileProgram(void* program, int n, const char* const* options) {
  auto& p = *static_cast<Program*>(program);
  const std::string here = variable("FAKE_TESTS"), source = temporary(".cpp");
  const std::string library = temporary(".so");
  std::ofstream(source) << "#include \"" << here << "/emulation.h\"\n"
                        << p.text << "\n#include \"" << here << "/launch.h\"\n";
  const std::string command = variable("FAKE_COMPILER") + " " + source + " -o " + library;
  if (std::system(command.c_str()) != 0) return 6;
  const std::string code = contents(library);
  const uint64_t size = code.size();
  p.code = kMagic + std::string(reinterpret_cast<const char*>(&size), 8) + code;
  std::string with;
  for (int k = 0; k < n; ++k) with += std::string(" ") + options[k];
  return done("nvrtcCompileProgram", with);
}
int nvrtcDestroyProgram(void** program) {
  delete static_cast<Program*>(*program);
  return 0;
}
const char* nvrtcGetErrorString(int) { return "a planted failure"; }
int nvrtcGetProgramLogSize(void*, size_t* size) { return size_of("a log", size); }
int nvrtcGetProgramLog(void*, char* log) {
  std::memcpy(log, "a log", 5);
  return 0;
}
int nvrtcGetCUBINSize(void* program, size_t* size) {
  return size_of(static_cast<Program*>(program)->code, size);
}
int nvrtcGetCUBIN(void* program, char* code) {
  const std::string& made = static_cast<Program*>(program)->code;
  std::memcpy(code, made.data(), made.size());
  return 0;
}

}  // extern "C"
