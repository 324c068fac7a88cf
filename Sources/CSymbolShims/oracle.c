#include "DripOracle.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct drip_oracle {
  Dwfl *session;
  pid_t pid;
  drip_oracle_find *find;
  void *context;
  // The unwind under way.
  const struct drip_oracle_start *start;
  uint64_t *frames;
  size_t capacity, count, reliable;
  bool ran_out;
};

static int no_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **path, Elf **elf) {
  return -1;
}

// The rules that drip compiles are those of the mapped files and of their own debug files; libdwfl is to use the same
// ones.
static int find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
                          const char *link, GElf_Word crc, char **path) {
  struct drip_oracle *oracle = *data;
  return oracle && oracle->find ? oracle->find(oracle->context, module, file, link, crc) : -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = no_elf, .find_debuginfo = find_debuginfo};

struct drip_oracle *drip_oracle_new(int32_t pid, drip_oracle_find *find, void *context) {
  struct drip_oracle *oracle = calloc(1, sizeof *oracle);
  if (!oracle) return NULL;
  oracle->pid = pid;
  oracle->find = find;
  oracle->context = context;
  oracle->session = dwfl_begin(&callbacks);
  if (!oracle->session) {
    free(oracle);
    return NULL;
  }
  dwfl_report_begin(oracle->session);
  return oracle;
}

void drip_oracle_free(struct drip_oracle *oracle) {
  dwfl_end(oracle->session);
  free(oracle);
}

// What is added to the file's addresses to have those in memory.
static bool find_bias(int fd, uint64_t start, uint64_t file_offset, uint64_t *bias) {
  Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
  size_t count = 0;
  bool found = false;
  if (!elf) return false;
  if (elf_kind(elf) == ELF_K_ELF && elf_getphdrnum(elf, &count) == 0) {
    for (size_t i = 0; i < count && i < 4096 && !found; i++) {
      GElf_Phdr header;
      if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD || !(header.p_flags & PF_X)) continue;
      // A mapping begins at a page, its segment perhaps behind that.
      uint64_t first = header.p_offset & ~(uint64_t)4095;
      if (file_offset < first || file_offset >= header.p_offset + header.p_filesz) continue;
      *bias = start - (header.p_vaddr + file_offset - header.p_offset);
      found = true;
    }
  }
  elf_end(elf);
  return found;
}

bool drip_oracle_add(struct drip_oracle *oracle, const char *name, int fd, uint64_t start, uint64_t file_offset) {
  uint64_t bias;
  Dwfl_Module *module = NULL;
  void **data = NULL;
  if (find_bias(fd, start, file_offset, &bias))
    module = dwfl_report_elf(oracle->session, name, name, fd, bias, true);
  if (!module) {
    close(fd);
    return false;
  }
  dwfl_module_info(module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
  if (data) *data = oracle;
  return true;
}

static pid_t next_thread(Dwfl *session, void *data, void **thread) {
  if (*thread) return 0;
  *thread = data;
  return ((struct drip_oracle *)data)->pid;
}

static bool get_thread(Dwfl *session, pid_t id, void *data, void **thread) {
  *thread = data;
  return true;
}

static bool read_memory(Dwfl *session, Dwarf_Addr address, Dwarf_Word *result, void *data) {
  struct drip_oracle *oracle = data;
  const struct drip_oracle_start *start = oracle->start;
  uint64_t at = address - start->base;
  if (start->count >= sizeof *result && at <= start->count - sizeof *result) {
    memcpy(result, start->bytes + at, sizeof *result);
    return true;
  }
  if (!oracle->ran_out) oracle->reliable = oracle->count;
  oracle->ran_out = true;
  return false;
}

// Numbers of registers as in the System V ABI for AMD64, figure 3.36.
enum { RBX = 3, RBP = 6, RSP = 7, R12 = 12, RETURN_ADDRESS = 16 };

static bool set_registers(Dwfl_Thread *thread, void *data) {
  const struct drip_oracle_start *start = ((struct drip_oracle *)data)->start;
  // The call is before the address to which it returns, and the first frame's address is taken as it is.
  Dwarf_Word pc = start->pc - 1, pointers[2] = {start->fp, start->sp};
  Dwarf_Word saved[5];
  for (int i = 0; i < 5; i++) saved[i] = start->saved[i];
  if (!dwfl_thread_state_registers(thread, RBP, 2, pointers)) return false;
  if (!dwfl_thread_state_registers(thread, RETURN_ADDRESS, 1, &pc)) return false;
  return !start->has_saved || (dwfl_thread_state_registers(thread, RBX, 1, saved) &&
                               dwfl_thread_state_registers(thread, R12, 4, saved + 1));
}

static const Dwfl_Thread_Callbacks thread_callbacks = {.next_thread = next_thread,
                                                       .get_thread = get_thread,
                                                       .memory_read = read_memory,
                                                       .set_initial_registers = set_registers};

bool drip_oracle_ready(struct drip_oracle *oracle) {
  dwfl_report_end(oracle->session, NULL, NULL);
  return dwfl_attach_state(oracle->session, NULL, oracle->pid, &thread_callbacks, oracle);
}

static int on_frame(Dwfl_Frame *frame, void *data) {
  struct drip_oracle *oracle = data;
  Dwarf_Addr pc;
  if (!dwfl_frame_pc(frame, &pc, NULL)) return DWARF_CB_ABORT;
  oracle->frames[oracle->count] = oracle->count ? pc : oracle->start->pc;
  oracle->count++;
  return oracle->count < oracle->capacity ? DWARF_CB_OK : DWARF_CB_ABORT;
}

struct drip_oracle_result drip_oracle_unwind(
    struct drip_oracle *oracle, const struct drip_oracle_start *start, uint64_t *frames, size_t capacity) {
  struct drip_oracle_result result = {0};
  if (!capacity) return result;
  oracle->start = start;
  oracle->frames = frames;
  oracle->capacity = capacity;
  oracle->count = 0;
  oracle->reliable = 0;
  oracle->ran_out = false;
  result.failed = dwfl_getthread_frames(oracle->session, oracle->pid, on_frame, oracle) < 0;
  result.count = oracle->count;
  result.reliable = oracle->reliable;
  result.ran_out = oracle->ran_out;
  oracle->start = NULL;
  return result;
}

static bool covers(Dwarf_CFI *cfi, Dwarf_Addr pc) {
  Dwarf_Frame *frame = NULL;
  if (!cfi || dwarf_cfi_addrframe(cfi, pc, &frame) != 0) return false;
  free(frame);
  return true;
}

bool drip_oracle_has_rules(struct drip_oracle *oracle, uint64_t pc) {
  Dwfl_Module *module = dwfl_addrmodule(oracle->session, pc);
  Dwarf_Addr bias = 0;
  if (!module) return false;
  Dwarf_CFI *cfi = dwfl_module_eh_cfi(module, &bias);
  if (covers(cfi, pc - bias)) return true;
  cfi = dwfl_module_dwarf_cfi(module, &bias);
  return covers(cfi, pc - bias);
}
