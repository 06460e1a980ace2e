#include "e3md/archive.h"

#include <caffe2/serialize/in_memory_adapter.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "central_directory.h"
#include "crc32.h"
#include "e3md/error.h"
#include "one_line.h"

namespace e3md {
namespace {

constexpr const char* kList = "extra/records.txt";
constexpr size_t kMaxLine = 512;  // of the list: longer than any

std::vector<char> read_file(const std::string& path) {
  const std::string file = "model file '" + path + "'";
  std::error_code code;
  if (!std::filesystem::exists(path, code)) throw Error(file + " does not exist");
  if (std::filesystem::is_directory(path, code))
    throw Error(file + " is a folder: give the file that `e3md export` wrote");
  if (!std::filesystem::is_regular_file(path, code)) throw Error(file + " is no regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error(file + " cannot be opened for reading");
  std::vector<char> bytes(std::filesystem::file_size(path, code));
  if (!stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    throw Error(file + " cannot be read to its end");
  return bytes;
}

/// `why` may quote the file: it stays one line whatever it quotes.
[[noreturn]] void fail(const std::string& path, std::string why) {
  std::replace_if(why.begin(), why.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  throw Error("'" + path + "' is damaged: " + why + ". Take another copy of it.");
}

/// A line of the list of records: CRC-32, size and name, as the archive should have them.
std::string line_of(const Archive::Record& record) {
  char crc[9];
  std::snprintf(crc, sizeof crc, "%08x", record.crc);
  return std::string(crc) + " " + std::to_string(record.size) + " " + record.name;
}

}  // namespace

Archive::Archive(const std::string& path, const std::string& what)
    : path_(path), bytes_(read_file(path)) {
  std::vector<uint64_t> begins;
  try {
    CentralDirectory found = read_central_directory({bytes_.data(), bytes_.size()});
    records_ = std::move(found.records);
    begins = std::move(found.begins);
  } catch (const std::runtime_error& error) {
    throw Error("'" + path + "' is not an " + what + ", or it is truncated: " + error.what());
  }
  for (size_t k = 0; k < records_.size(); ++k) {
    const Record& record = records_[k];
    const uint32_t found = record.deflated ? crc32(read(record.name))
                                           : crc32({bytes_.data() + begins[k], record.stored});
    if (found != record.crc)
      fail(path_,
           "its record " + record.name + " does not have the CRC-32 that it was written with");
  }
}

bool Archive::has(std::string_view name) const {
  return std::any_of(records_.begin(), records_.end(),
                     [&](const Record& record) { return record.name == name; });
}

std::string Archive::read(const std::string& name) const {
  try {
    if (!reader_)
      reader_ = std::make_shared<caffe2::serialize::PyTorchStreamReader>(
          std::make_shared<caffe2::serialize::MemoryReadAdapter>(bytes_.data(), bytes_.size()));
    const auto [data, size] = reader_->getRecord(name);
    return {static_cast<const char*>(data.get()), size};
  } catch (const std::exception& error) {
    fail(path_, "its record " + name + " cannot be read");
  }
}

bool Archive::has_list() const { return has(kList); }

void Archive::check_list() const {
  if (!has_list()) return;
  std::vector<std::string> expected, found;
  std::istringstream lines(read(kList));
  for (std::string line; std::getline(lines, line);) expected.push_back(line);
  for (const Record& record : records_)
    if (record.name != kList) found.push_back(line_of(record));
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  const auto [missing, other] =
      std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  if (missing == expected.end() && other == found.end()) return;
  const std::string& line = missing == expected.end() ? *other : *missing;
  const auto printable = [](unsigned char c) { return c >= ' ' && c <= '~'; };
  if (line.size() > kMaxLine || !std::all_of(line.begin(), line.end(), printable))
    fail(path_, "its list of records, " + std::string(kList) + ", is not one");
  fail(path_, "record " + line.substr(line.rfind(' ') + 1) + " is not what it was written with");
}

void check_archive(const std::string& path) { Archive(path, "archive of torch").check_list(); }

}  // namespace e3md
