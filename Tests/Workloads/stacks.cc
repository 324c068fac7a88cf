// Allocates from stacks of every kind that a C++ program has: exceptions, signals (at a call, at any instruction, on a
// stack of their own), alloca, realigned and large frames, virtual calls, coroutines on stacks of their own, callbacks
// out of the C library, threads and their ends. Built as programs are, without frame pointers.
//
// stacks [SEED]: prints READY, works until a line comes, prints DONE and how often each kind has run.
#include <algorithm>
#include <alloca.h>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/time.h>
#include <thread>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#ifdef __clang__
#define APART __attribute__((noinline))
#else
#define APART __attribute__((noipa))
#endif

static std::atomic<bool> is_over;
static std::atomic<unsigned long> runs[16];
static thread_local uint64_t state = 88172645463325252ull;
static volatile uint64_t sink;

static uint64_t next_random() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static unsigned below(unsigned limit) { return next_random() % limit; }

// Where all stacks end. The block is used, so that no call can be left out, nor be made a jump.
APART void allocate() {
  void *volatile block = std::malloc(1 + below(300));
  if (below(4) == 0) block = std::realloc(block, 1 + below(600));
  std::free(block);
  std::unique_ptr<std::string> text(new std::string(below(80), 'x'));
  sink = sink + text->size();
}

APART void climb(int depth);

// A family of functions that differ in frame size, saved registers, and what they do after the call.
template <int N>
APART uint64_t branch(int depth, uint64_t a, uint64_t b, uint64_t c) {
  volatile char room[8 + N * 24];
  room[N] = (char)depth;
  uint64_t x = a * 3 + N, y = b ^ x, z = c + y;
  climb(depth);
  return x + y * z + (uint64_t)room[N];
}

APART void with_alloca(int depth) {
  unsigned size = 16 + below(3000);
  char *room = (char *)alloca(size);
  std::memset(room, depth, size);
  climb(depth);
  sink = sink + (uint64_t)room[size / 2];
}

// The stack is realigned: the frame's address is kept in another register, then in the frame.
APART void realigned(int depth) {
  alignas(128) volatile char room[256];
  char *more = (char *)alloca(1 + below(200));
  room[depth & 255] = more[0] = 1;
  climb(depth);
  sink = sink + (uint64_t)(room[0] + more[0]);
}

APART void large_frame(int depth) {
  volatile char room[40000];
  room[below(sizeof room)] = 1;
  climb(depth);
  sink = sink + (uint64_t)room[9];
}

struct Node {
  virtual ~Node() { allocate(); }
  virtual void visit(int depth) = 0;
};
struct Left : Node {
  APART void visit(int depth) override { climb(depth); sink = sink + 1; }
};
struct Right : Node {
  std::string name{"a name that is longer than what fits into the string itself"};
  APART void visit(int depth) override {
    std::function<void()> call = [this, depth] { climb(depth); sink = sink + name.size(); };
    call();
  }
};

APART void virtual_calls(int depth) {
  std::unique_ptr<Node> node;
  if (below(2)) node.reset(new Left); else node.reset(new Right);
  node->visit(depth);
}

static int compare(const void *a, const void *b) {
  if (below(8) == 0) allocate();
  return *(const int *)a - *(const int *)b;
}

APART void callbacks(int depth) {
  int numbers[24];
  for (int &number : numbers) number = (int)below(1000);
  std::qsort(numbers, 24, sizeof *numbers, compare);
  std::vector<int> more(numbers, numbers + 12);
  std::sort(more.begin(), more.end(), [](int a, int b) { if (below(6) == 0) allocate(); return b < a; });
  climb(depth);
  sink = sink + (uint64_t)more[0];
}

APART void climb(int depth) {
  if (depth <= 0 || below(16) == 0) {
    allocate();
    return;
  }
  depth -= 1;
  switch (below(12)) {
  case 0: with_alloca(depth); break;
  case 1: realigned(depth); break;
  case 2: if (below(12) == 0) large_frame(depth); else branch<1>(depth, 1, 2, 3); break;
  case 3: virtual_calls(depth); break;
  case 4: if (below(4) == 0) callbacks(depth); else branch<2>(depth, 1, 2, 3); break;
  case 5: sink = sink + branch<0>(depth, 5, 6, 7); break;
  case 6: sink = sink + branch<5>(depth, 5, 6, 7); break;
  case 7: sink = sink + branch<17>(depth, 8, 9, 1); break;
  case 8: sink = sink + branch<60>(depth, 2, 3, 4); break;
  default: sink = sink + branch<3>(depth, 4, 3, 2); break;
  }
  allocate();
}

struct Tidy {
  ~Tidy() { allocate(); }
};

APART void thrower(int depth) {
  Tidy tidy;
  if (depth <= 0) throw std::runtime_error("a message that is kept in a block of its own on the heap");
  if (depth & 1) thrower(depth - 1); else with_alloca(below(3)), thrower(depth - 1);
  sink = sink + 1;
}

APART void exceptions() {
  try {
    thrower((int)below(12));
  } catch (const std::exception &error) {
    std::string text = error.what();
    climb(4);
    try { throw; } catch (...) { allocate(); }
    sink = sink + text.size();
  }
}

extern "C" void on_signal(int) { climb((int)below(5)); }

APART void signals_at_calls() {
  raise(SIGUSR1);
  raise(SIGUSR2); // on a stack of its own
}

// Signals are let in here alone, where no allocation is under way: they come at any instruction.
APART uint64_t spin(uint64_t value) {
  for (int i = 0; i < 20000; i++) value = value * 6364136223846793005ull + (value >> 33 ^ (uint64_t)i);
  return value;
}

APART void signals_at_instructions() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  sink = sink + spin(sink);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

static thread_local ucontext_t here, there;
static thread_local int turns;

static void coroutine(int depth) {
  for (;;) {
    climb(depth);
    turns++;
    swapcontext(&there, &here);
  }
}

APART void coroutines() {
  static thread_local std::vector<char> stack(256 * 1024);
  if (turns % 50 == 0) {
    getcontext(&there);
    there.uc_stack.ss_sp = stack.data();
    there.uc_stack.ss_size = stack.size();
    there.uc_link = nullptr;
    makecontext(&there, (void (*)())coroutine, 1, 3 + (int)below(10));
  }
  swapcontext(&here, &there);
}

static thread_local Tidy at_thread_end;

APART void threads() {
  std::thread([] {
    (void)&at_thread_end;
    climb(5);
  }).join();
}

APART void deep(int depth) {
  if (depth > 0) deep(depth - 1); else climb(3);
  sink = sink + 1;
}

// What runs here is called from a frame that is found through rbp alone.
APART void below_alloca(void (*kind)()) {
  char *room = (char *)alloca(1 + below(2000));
  room[0] = 1;
  kind();
  sink = sink + (uint64_t)room[0];
}

static void work(uint64_t seed) {
  state = seed * 0x9E3779B97F4A7C15ull | 1;
  std::vector<char> other_stack(128 * 1024);
  stack_t alternative = {};
  alternative.ss_sp = other_stack.data();
  alternative.ss_size = other_stack.size();
  sigaltstack(&alternative, nullptr);
  while (!is_over) {
    unsigned kind = below(100);
    void (*const kinds[])() = {exceptions, signals_at_calls, signals_at_instructions, coroutines, threads};
    if (kind < 20) {
      kind = kind % 5;
      if (below(2)) below_alloca(kinds[kind]); else kinds[kind]();
    } else if (kind == 20) {
      kind = 5;
      deep((int)below(150)); // some are deeper than the limit
    } else {
      kind = 6;
      climb(12);
    }
    runs[kind]++;
  }
  alternative.ss_flags = SS_DISABLE;
  sigaltstack(&alternative, nullptr);
}

int main(int argc, char **argv) {
  uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 1;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGALRM, &action, nullptr);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  itimerval interval = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &interval, nullptr);

  std::puts("READY");
  std::fflush(stdout);
  std::thread second(work, seed + 1);
  std::thread waiter([] {
    char byte;
    while (read(0, &byte, 1) == 1 && byte != '\n') {}
    is_over = true;
  });
  work(seed);
  second.join();
  waiter.join();
  std::printf("DONE");
  for (int kind = 0; kind < 7; kind++) std::printf(" %lu", runs[kind].load());
  std::puts("");
  return 0;
}
