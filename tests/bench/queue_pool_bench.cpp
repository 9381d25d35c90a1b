// SPDX-License-Identifier: GPL-3.0-or-later
// What handing a frame over costs: ns a hand-over through the pool, the queue and the ring, on one
// thread and between two. `queue_pool_bench [ROUNDS]`; for comparing before and after a change on
// one quiet machine. Not run by CTest.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "server/frame/lease_queue.hpp"
#include "server/process/sequence_ring.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

/// Best of five: the others were disturbed.
template <class Work>
void measure(const char* what, std::uint64_t rounds, const Work& work) {
  double best = 1e300;
  for (int i = 0; i < 5; ++i) {
    const auto before = steady_now();
    work(rounds);
    best = std::min(best, static_cast<double>((steady_now() - before).count()));
  }
  std::printf("%-44s %8.1f ns\n", what, best / static_cast<double>(rounds));
}

void pool_alone(std::uint64_t rounds) {
  FramePool frames(8, [](Frame&) {});
  for (std::uint64_t i = 0; i < rounds; ++i) (void)frames.try_acquire();
}

void pool_shared(std::uint64_t rounds) {
  FramePool frames(8, [](Frame&) {});
  const auto half = [&] {
    for (std::uint64_t i = 0; i < rounds / 2; ++i) (void)frames.try_acquire();
  };
  std::thread other(half);
  half();
  other.join();
}

void queue_alone(std::uint64_t rounds) {
  FramePool frames(8, [](Frame&) {});
  LeaseQueue queue(4, LossPolicy::block);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    (void)queue.offer(frames.try_acquire(), 0ns);
    (void)queue.take(0ns);
  }
}

void queue_between(std::uint64_t rounds, LossPolicy policy, std::size_t depth) {
  FramePool frames(depth + 4, [](Frame&) {});
  LeaseQueue queue(depth, policy);
  std::thread taker([&] {
    while (!queue.is_over()) (void)queue.take(1s);
  });
  for (std::uint64_t i = 0; i < rounds; ++i) (void)queue.offer(frames.acquire(1s), 1s);
  queue.end();
  taker.join();
}

void ring_alone(std::uint64_t rounds) {
  FramePool frames(16, [](Frame&) {});
  Doorbell work;
  SequenceRing ring(frames.size(), work);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    ring.push(frames.try_acquire());
    ring.mark_ready(ring.claim().value());
    ring.take_turn([&](SequenceRing::Cell& cell) {
      const FrameLease held = std::move(cell.frame);
      ring.release();
      return true;
    });
  }
}

}  // namespace
}  // namespace latticed

int main(int argc, char** argv) {
  using namespace latticed;
  const std::uint64_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000;
  measure("pool: lend and return, one thread", rounds, pool_alone);
  measure("pool: lend and return, two threads at once", rounds, pool_shared);
  measure("queue: offer and take, one thread", rounds, queue_alone);
  measure("queue: block, depth 16, to another thread", rounds,
          [](std::uint64_t n) { queue_between(n, LossPolicy::block, 16); });
  measure("queue: latest_only, to another thread", rounds,
          [](std::uint64_t n) { queue_between(n, LossPolicy::latest_only, 1); });
  measure("ring: push, claim, ready, take in turn, one thread", rounds, ring_alone);
  return 0;
}
