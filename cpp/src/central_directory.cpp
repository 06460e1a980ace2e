#include "central_directory.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

namespace e3md {
namespace {

constexpr uint32_t kEnd = 0x06054b50, kEnd64Locator = 0x07064b50, kEnd64 = 0x06064b50;
constexpr uint32_t kEntry = 0x02014b50, kLocal = 0x04034b50;
constexpr uint64_t kEndSize = 22, kLocatorSize = 20, kEntrySize = 46, kLocalSize = 30;
constexpr uint16_t kStored = 0, kDeflated = 8, kZip64Extra = 1;
constexpr uint32_t kFolder =
    0x10;  // of the attributes: torch's reader leaves its bytes as they were
/// Code is deflated and small; what claims to inflate beyond this is no model.
constexpr uint64_t kMostInflated = 64ull << 20;

[[noreturn]] void fail(const std::string& why) { throw std::runtime_error(why); }

/// Reads little-endian numbers, never beyond the end.
class Bytes {
 public:
  explicit Bytes(std::string_view all) : all_(all) {}

  template <class T>
  T at(uint64_t position) const {
    T value;
    std::memcpy(&value, part(position, sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view part(uint64_t begin, uint64_t size) const {
    if (begin > all_.size() || size > all_.size() - begin) fail("it ends too early");
    return all_.substr(begin, size);
  }

  uint64_t size() const { return all_.size(); }

 private:
  std::string_view all_;
};

struct Extent {
  uint64_t n_entries, begin;
};

/// Where the central directory lies: the file's last record says it, or the zip64 one before.
Extent find_directory(const Bytes& bytes) {
  if (bytes.size() < kEndSize) fail("it is too short");
  const uint64_t end = bytes.size() - kEndSize;  // torch writes no comment after it
  if (bytes.at<uint32_t>(end) != kEnd) fail("its end is missing: it is no zip archive");
  if (end >= kLocatorSize && bytes.at<uint32_t>(end - kLocatorSize) == kEnd64Locator) {
    const auto end64 = bytes.at<uint64_t>(end - kLocatorSize + 8);
    if (bytes.at<uint32_t>(end64) != kEnd64) fail("its zip64 end is missing");
    return {bytes.at<uint64_t>(end64 + 32), bytes.at<uint64_t>(end64 + 48)};
  }
  return {bytes.at<uint16_t>(end + 10), bytes.at<uint32_t>(end + 16)};
}

/// Sizes and offset of 32 bits that are all ones stand in the zip64 extra field, in this order.
void read_zip64(const Bytes& bytes, uint64_t extra, uint64_t extra_size, Archive::Record& record,
                uint64_t& offset) {
  for (uint64_t at = extra; at + 4 <= extra + extra_size;) {
    const auto id = bytes.at<uint16_t>(at), size = bytes.at<uint16_t>(at + 2);
    at += 4;
    if (id == kZip64Extra)
      for (uint64_t* value : {&record.size, &record.stored, &offset})
        if (*value == UINT32_MAX) {
          *value = bytes.at<uint64_t>(at);
          at += 8;
        }
    if (id == kZip64Extra) return;
    at += size;
  }
}

void check_record(const Archive::Record& record, uint16_t method, uint32_t attributes,
                  uint64_t inflated) {
  if (attributes & kFolder) fail("record " + record.name + " is marked as a folder, without bytes");
  if (method != kStored && method != kDeflated)
    fail("record " + record.name + " is compressed in a way that torch does not write");
  if (method == kStored && record.size != record.stored)
    fail("record " + record.name + " has two sizes");
  if (inflated > kMostInflated) fail("its compressed records are too large");
}

}  // namespace

CentralDirectory read_central_directory(std::string_view all) {
  const Bytes bytes(all);
  const Extent extent = find_directory(bytes);
  CentralDirectory found;
  std::set<std::string> names;
  uint64_t at = extent.begin, inflated = 0;
  for (uint64_t n = 0; n < extent.n_entries; ++n) {
    if (bytes.at<uint32_t>(at) != kEntry) fail("its list of records is damaged");
    const auto method = bytes.at<uint16_t>(at + 10);
    const auto name_size = bytes.at<uint16_t>(at + 28), extra_size = bytes.at<uint16_t>(at + 30);
    const auto comment_size = bytes.at<uint16_t>(at + 32);
    const std::string name(bytes.part(at + kEntrySize, name_size));
    Archive::Record record{name, bytes.at<uint32_t>(at + 16), bytes.at<uint32_t>(at + 24),
                           bytes.at<uint32_t>(at + 20), method == kDeflated};
    uint64_t offset = bytes.at<uint32_t>(at + 42);
    read_zip64(bytes, at + kEntrySize + name_size, extra_size, record, offset);
    if (record.deflated) inflated += record.size;
    check_record(record, method, bytes.at<uint32_t>(at + 38), inflated);
    if (!names.insert(name).second) fail("record " + name + " is there twice");
    if (bytes.at<uint32_t>(offset) != kLocal)
      fail("the beginning of record " + name + " is damaged");
    const uint64_t begin =
        offset + kLocalSize + bytes.at<uint16_t>(offset + 26) + bytes.at<uint16_t>(offset + 28);
    bytes.part(begin, record.stored);
    record.name = name.substr(name.find('/') + 1);
    found.records.push_back(std::move(record));
    found.begins.push_back(begin);
    at += kEntrySize + name_size + extra_size + comment_size;
  }
  return found;
}

}  // namespace e3md
