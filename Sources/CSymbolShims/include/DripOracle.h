#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A second opinion on a call stack: libdwfl unwinds copied registers and stack bytes with the call frame
// information of the process's files. Nothing of the process itself is read.
struct drip_oracle;

// Where an unwind begins: in the caller of a function that is about to return to `pc`.
struct drip_oracle_start {
  uint64_t pc, sp, fp;
  uint64_t saved[5];  // rbx, r12 to r15, if has_saved
  bool has_saved;
  const uint8_t *bytes;  // what stands at `base`
  uint64_t base;
  size_t count;
};

struct drip_oracle_result {
  size_t count;     // frames written
  size_t reliable;  // if ran_out: of them, those found before
  bool ran_out;     // a word outside of the bytes was asked for; frames found after that may be guessed
  bool failed;      // libdwfl gave up, rather than come to the end
};

// Opens the separate debug file of a module (a Dwfl_Module), whose path is `file` and whose .gnu_debuglink says `link`
// and `crc`. Returns a descriptor, or -1.
typedef int drip_oracle_find(void *context, void *module, const char *file, const char *link, uint32_t crc);

// An unwinder without files yet. Null if libdwfl cannot begin.
struct drip_oracle *drip_oracle_new(int32_t pid, drip_oracle_find *find, void *context);
void drip_oracle_free(struct drip_oracle *oracle);

// Adds an ELF file of which `file_offset` is mapped at `start` as code. Takes the descriptor, whatever becomes of it.
bool drip_oracle_add(struct drip_oracle *oracle, const char *name, int fd, uint64_t start, uint64_t file_offset);

// Ends the adding of files. False if none of them is of a machine that libdwfl can unwind.
bool drip_oracle_ready(struct drip_oracle *oracle);

// Return addresses into `frames`, innermost first, `start->pc` being the first; at most `capacity`.
struct drip_oracle_result drip_oracle_unwind(
    struct drip_oracle *oracle, const struct drip_oracle_start *start, uint64_t *frames, size_t capacity);

// Whether a file has call frame information for the instruction at `pc`.
bool drip_oracle_has_rules(struct drip_oracle *oracle, uint64_t pc);
