// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/control_thread.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "server/base/named_thread.hpp"

namespace latticed {

class ControlThread::Loop {
 public:
  explicit Loop(const char* name)
      : work_(io_.get_executor()), thread_({name}, [this] { io_.run(); }) {}

  void post(std::function<void()> task) { boost::asio::post(io_, std::move(task)); }
  void finish() {
    boost::asio::post(io_, [this] { work_.reset(); });
    thread_.join();
  }

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  NamedThread thread_;
};

ControlThread::ControlThread(const char* name) : loop_(std::make_unique<Loop>(name)) {}
ControlThread::~ControlThread() { finish(); }
void ControlThread::post(std::function<void()> task) { loop_->post(std::move(task)); }
void ControlThread::finish() { loop_->finish(); }

}  // namespace latticed
