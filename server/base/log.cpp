// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/log.hpp"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/fmt/chrono.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <iterator>

namespace latticed {

namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v";

class ScreenSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit ScreenSink(Screen& screen) : screen_(screen) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    screen_.print({text.data(), text.size()});
  }
  void flush_() override { screen_.flush(); }

  Screen& screen_;
};

/// {"ts":"2026-01-02T03:04:05.678901Z","level":"info","event":"...","thread":123}
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using namespace std::chrono;
    const auto us = duration_cast<microseconds>(message.time.time_since_epoch()).count();
    const auto level = spdlog::level::to_string_view(message.level);
    auto to = std::back_inserter(out);
    fmt::format_to(to, "{{\"ts\":\"{:%Y-%m-%dT%H:%M:%S}.{:06}Z\",\"level\":\"{}\",\"event\":\"",
                   fmt::gmtime(static_cast<std::time_t>(us / 1000000)), us % 1000000,
                   std::string_view(level.data(), level.size()));
    for (const char c : message.payload) {
      if (c == '"' || c == '\\')
        fmt::format_to(to, "\\{}", c);
      else if (c == '\n')
        fmt::format_to(to, "\\n");
      else if (static_cast<unsigned char>(c) < 0x20)
        fmt::format_to(to, "\\u{:04x}", static_cast<unsigned char>(c));
      else
        out.push_back(c);
    }
    fmt::format_to(to, "\",\"thread\":{}}}\n", message.thread_id);
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

spdlog::level::level_enum level_of(LogLevel level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::trace, spdlog::level::debug,
                                                   spdlog::level::info,  spdlog::level::warn,
                                                   spdlog::level::err,   spdlog::level::off};
  return kLevels[static_cast<std::size_t>(level)];
}

}  // namespace

struct Log::Writer {
  spdlog::sink_ptr sink;
  std::shared_ptr<spdlog::details::thread_pool> queue;
  std::shared_ptr<spdlog::async_logger> logger;

  Writer(spdlog::sink_ptr to, const LogConfig& config)
      : sink(std::move(to)),
        queue(std::make_shared<spdlog::details::thread_pool>(
            static_cast<std::size_t>(config.queue_lines), 1)),
        logger(std::make_shared<spdlog::async_logger>(
            "latticed", sink, queue, spdlog::async_overflow_policy::overrun_oldest)) {
    if (config.json)
      sink->set_formatter(std::make_unique<JsonFormatter>());
    else
      sink->set_pattern(kTextPattern);
    logger->set_level(level_of(config.level));
    logger->flush_on(
        spdlog::level::trace);  // every line can be read at once; the queue's thread pays
    spdlog::set_default_logger(logger);
  }

  /// Everything that waits is written, then how much had no room.
  ~Writer() {
    if (spdlog::default_logger() == logger)
      spdlog::set_default_logger(std::make_shared<spdlog::logger>("latticed", sink));
    const std::size_t lost = queue->overrun_counter();
    queue.reset();  // joins its thread, which empties the queue first
    logger.reset();
    spdlog::logger last("latticed", sink);
    if (lost > 0) last.warn("{} log lines were lost: the queue was full", lost);
    last.flush();
  }
};

Log::Log(Screen& screen)
    : screen_(screen),
      writer_(std::make_unique<Writer>(std::make_shared<ScreenSink>(screen), LogConfig{})) {}

Log::~Log() = default;

Result<void> Log::configure(const LogConfig& config) {
  try {
    spdlog::sink_ptr sink;
    if (config.file.empty())
      sink = std::make_shared<ScreenSink>(screen_);
    else
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.file);
    writer_ = std::make_unique<Writer>(std::move(sink), config);
    return {};
  } catch (const spdlog::spdlog_ex& problem) {
    return Error{ErrorCode::unavailable,
                 fmt::format("open log {}: {}", config.file, problem.what())};
  }
}

}  // namespace latticed
