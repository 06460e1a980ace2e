#include "code_text.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace e3md {
namespace {

/// What no exported model comes near, and what keeps the compiler's recursions shallow.
constexpr size_t kLongestLine = 10'000, kDeepest = 32, kFurthestIn = 60;

const std::set<std::string_view> kRefusedWords{"__setstate__", "elif",  "lambda", "with",
                                               "global",       "print", "assert", "raise"};
const std::set<std::string_view> kPlainCalls{
    "annotate", "unchecked_cast", "uninitialized", "range", "getattr", "int", "float", "bool"};
/// Calls that take text. A text elsewhere could be made long while the code is compiled.
const std::set<std::string_view> kTakeText{"getattr", "RaiseException", "pad"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  throw std::runtime_error("its code " + name + " has " + what);
}

/// torch.jit writes plain text: no comments, escapes or tabs. What is written otherwise is refused,
/// so that this reading and the compiler's cannot differ.
void check_characters(const std::string& name, const std::string& text) {
  size_t line = 0, empty_lines = 0;
  for (const char c : text) {
    if (c != '\n' &&
        (c < ' ' || c > '~' || std::string_view("#\\'`;@$").find(c) != std::string::npos))
      fail(name, "a character that torch.jit does not write");
    empty_lines = c == '\n' && line == 0 ? empty_lines + 1 : 0;
    line = c == '\n' ? 0 : line + 1;
    if (line > kLongestLine || empty_lines > 2) fail(name, "lines that torch.jit does not write");
  }
}

}  // namespace

/// One text, word by word.
class CodeReader {
 public:
  CodeReader(CodeText& rules, const std::string& name, const std::string& text)
      : rules_(rules), name_(name), text_(text) {}

  /// Names that follow `def`, `class`, and that stand for functions of the archive.
  void collect() {
    for (std::string_view word : {"def ", "class "})
      for (size_t at = text_.find(word); at != std::string::npos; at = text_.find(word, at + 1))
        rules_.defined_.insert(std::string(word_at(at + word.size())));
    const std::string_view alias = " = __torch__.";
    for (size_t at = text_.find(alias); at != std::string::npos; at = text_.find(alias, at + 1)) {
      size_t begin = at;
      while (begin > 0 && is_word(text_[begin - 1])) --begin;
      rules_.defined_.insert(text_.substr(begin, at - begin));
    }
  }

  void check() {
    for (at_ = 0; at_ < text_.size();) {
      const char c = text_[at_];
      if (at_ == 0 || text_[at_ - 1] == '\n') begin_line();
      if (c == '"')
        text();
      else if (std::isdigit(static_cast<unsigned char>(c)))
        number();
      else if (is_word(c))
        chain();
      else
        sign(c);
    }
  }

 private:
  std::string_view word_at(size_t begin) const {
    size_t end = begin;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return std::string_view(text_).substr(begin, end - begin);
  }

  char before() const { return at_ > 0 ? text_[at_ - 1] : '\n'; }

  void begin_line() {
    const size_t first = std::min(text_.find_first_not_of(' ', at_), text_.size());
    const size_t indent = first - at_;
    if (indent > kFurthestIn) fail(name_, "blocks nested too deeply");
    if (!brackets_.empty()) return;
    const std::string_view word = word_at(first);
    if (indent == 0 && !word.empty()) in_class_ = word == "class";
    is_definition_ = word == "def";
    of_class_ = in_class_ && indent == 2 && !is_definition_;
  }

  void text() {
    const size_t end = text_.find('"', at_ + 1);
    if (end == std::string::npos || text_.find('\n', at_) < end) fail(name_, "an open text");
    const bool taken = !brackets_.empty() && kTakeText.count(brackets_.back());
    if (!taken && !of_class_ && !is_definition_)
      fail(name_, "the text " + text_.substr(at_, std::min<size_t>(end + 1 - at_, 40)) +
                      ", which no model needs");
    at_ = end + 1;
  }

  void number() {
    while (at_ < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '.' || text_[at_] == 'e'))
      ++at_;
  }

  void sign(char c) {
    if (c == '(' || c == '[' || c == '{') {
      brackets_.push_back(called_);
      if (brackets_.size() > kDeepest) fail(name_, "brackets nested too deeply");
      if (c == '(' && of_class_) fail(name_, "a value of a class that is not written out");
    }
    if ((c == ')' || c == ']' || c == '}') && !brackets_.empty()) brackets_.pop_back();
    if (c == '=' && is_definition_ && !brackets_.empty() && !is_literal(at_ + 1))
      fail(name_, "a default value that is not written out");
    called_.clear();
    ++at_;
  }

  /// Whether None, a truth value, a number or a text stands here, and nothing else.
  bool is_literal(size_t begin) const {
    if (begin < text_.size() && text_[begin] == '"') {
      const size_t close = text_.find('"', begin + 1);
      return close + 1 < text_.size() && (text_[close + 1] == ',' || text_[close + 1] == ')');
    }
    begin += begin < text_.size() && text_[begin] == '-';
    size_t end = begin;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.')) ++end;
    if (end == begin || end == text_.size() || (text_[end] != ',' && text_[end] != ')'))
      return false;
    const std::string_view value = std::string_view(text_).substr(begin, end - begin);
    return value == "None" || value == "True" || value == "False" ||
           std::isdigit(static_cast<unsigned char>(value[0]));
  }

  /// A word, or several joined by dots.
  void chain() {
    const bool of_value = before() == '.';
    std::vector<std::string> words;
    for (;;) {
      words.emplace_back(word_at(at_));
      at_ += words.back().size();
      if (kRefusedWords.count(words.back())) fail(name_, "the word " + words.back());
      if (at_ + 1 >= text_.size() || text_[at_] != '.' || !is_word(text_[at_ + 1])) break;
      ++at_;
    }
    const bool is_call = at_ < text_.size() && text_[at_] == '(';
    called_ = is_call ? words.back() : "";
    const std::string last_word = std::move(last_word_);
    last_word_ = words.back();
    if (last_word == "def" || last_word == "class" || words[0] == "__torch__") return;
    if (!of_value && words[0] == "torch") return check_operator("aten::" + words.back());
    if (!of_value && words[0] == "ops" && words.size() == 3)
      return check_operator(words[1] + "::" + words[2]);
    if (is_call) check_call(words.back(), of_value || words.size() > 1);
  }

  void check_operator(const std::string& name) const {
    if (!rules_.allowed_(name)) fail(name_, "the operator " + name + ", which no model needs");
  }

  void check_call(const std::string& name, bool of_value) const {
    if (rules_.defined_.count(name) || (!of_value && kPlainCalls.count(name))) return;
    if (of_value && rules_.allowed_("prim::" + name)) return;
    check_operator("aten::" + name);
  }

  CodeText& rules_;
  const std::string& name_;
  const std::string& text_;
  size_t at_ = 0;
  bool in_class_ = false;       // inside a class, at whatever depth
  bool of_class_ = false;       // this line is a statement of a class itself
  bool is_definition_ = false;  // this line begins a function
  std::string called_;          // the call whose bracket opens next
  std::string last_word_;
  std::vector<std::string> brackets_;  // what each open bracket belongs to
};

void CodeText::check(const std::map<std::string, std::string>& texts) {
  for (const auto& [name, text] : texts) {
    check_characters(name, text);
    CodeReader(*this, name, text).collect();
  }
  for (const auto& [name, text] : texts) CodeReader(*this, name, text).check();
}

}  // namespace e3md
