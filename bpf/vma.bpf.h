/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What lies at an address now, as the kernel itself knows it. A process's list of mappings is as old as user space's
 * last look; here a walk asks where that list has nothing, or is known to be out of date. A file whose table is there
 * needs no look of user space: its inode leads to its rows.
 *
 * Reads: the mapping of the current process (bpf_find_vma, Linux 5.17; below that the list is all there is).
 * Costs: 0.1 to 0.2 us a frame, only of addresses outside of the list and while libraries come and go. */
#ifndef DRIP_VMA_BPF_H
#define DRIP_VMA_BPF_H

/* Files with code, by their inode. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DRIP_FILES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drip_file_key);
	__type(value, struct drip_file);
} files SEC(".maps");

/* There is code, and what is needed to unwind it is not known yet. */
#define NOT_KNOWN_YET (-3)
#define MAPPING_EXECUTABLE 4 /* VM_EXEC */

enum bpf_func_id___view {
	BPF_FUNC_find_vma___view = 180,
};

#define CAN_FIND bpf_core_enum_value_exists(enum bpf_func_id___view, BPF_FUNC_find_vma___view)

struct found_mapping {
	struct drip_file_key file;
	__u64 start; /* minus the offset in the file; of a mapping without a file 0 */
	__u64 opened;
	__u32 is_code;
	__u32 has_file;
};

static long look_at_mapping(struct task_struct *task, struct vm_area_struct *vma, struct found_mapping *found)
{
	struct file *file = BPF_CORE_READ(vma, vm_file);
	struct inode *inode;

	found->is_code = BPF_CORE_READ(vma, vm_flags) & MAPPING_EXECUTABLE;
	if (file) {
		found->has_file = 1;
		found->start = BPF_CORE_READ(vma, vm_start) - (BPF_CORE_READ(vma, vm_pgoff) << 12);
		inode = BPF_CORE_READ(file, f_inode);
		found->file.inode = BPF_CORE_READ(inode, i_ino);
		found->file.device = BPF_CORE_READ(inode, i_sb, s_dev);
		found->opened = (__u64)file;
	}
	return 0;
}

/* What is mapped at an address; 0, or an errno below 0. A function of its own: two need it. */
__noinline int find_mapping(__u64 address, struct found_mapping *out)
{
	struct found_mapping found = {};
	long result;

	if (!out || !CAN_FIND)
		return -1;
	result = bpf_find_vma(bpf_get_current_task_btf(), address, look_at_mapping, &found, 0);
	*out = found;
	return result;
}

/* The file mapped at an address, as one number; 0 if there is none, or if the kernel is changing the mappings this moment
 * and cannot tell. */
static __always_inline __u64 file_at(__u64 address)
{
	struct found_mapping found = {};

	if (find_mapping(address, &found) || !found.has_file)
		return 0;
	return found.file.inode ^ (__u64)found.file.device << 40;
}

/* Makes the file of one frame part of the stack's identity, if the frame is where one library has lain after another. What
 * cannot be told now is told apart by when it was: until the linker's next change there is no other file there. */
__noinline int identify_frame(struct drip_scratch *s, __u64 begin, __u64 end, __u32 n, __u32 process)
{
	__u64 address, file;

	if (!s || n >= DRIP_FRAMES)
		return 0;
	address = s->frame[n];
	if (address <= begin || address > end)
		return 0;
	file = file_at(address - 1);
	add_to_identity(s, file ? file : linker_changes(process));
	return 0;
}

/* The same for eight frames from one on. */
__noinline int identify_eight(struct drip_scratch *s, __u64 begin, __u64 end, __u32 from, __u32 process)
{
	if (!s)
		return 0;
	for (__u32 i = 0; i < 8; i++) {
		__u32 n = from + i;

		if (n >= s->count)
			return 0;
		identify_frame(s, begin, end, n, process);
	}
	return 0;
}

/* Where one library has lain after another, the file is part of what tells a stack; for the innermost 32 frames. */
__noinline int identify_files(struct drip_scratch *s, __u32 process)
{
	struct drip_linker *linker = linker_of(process);

	if (!linker || !linker->reused_end)
		return 0;
	for (__u32 i = 0; i < 32; i += 8)
		identify_eight(s, linker->reused_begin, linker->reused_end, i, process);
	return 0;
}

/* What a stacking file system (overlayfs, Linux 6.7) maps is a file below, while the memory map shows the one that the
 * process has opened. Whether this is such a file is told by a bit that has moved between kernels; of another one the
 * words read here are no inode's, and lead to no file that is known. */
__noinline int shown_file(__u64 opened, struct drip_file_key *key)
{
	struct inode *inode;

	if (!key || !bpf_core_field_exists(((struct backing_file *)0)->user_path))
		return 0;
	inode = BPF_CORE_READ((struct backing_file *)opened, user_path.dentry, d_inode);
	key->inode = BPF_CORE_READ(inode, i_ino);
	key->device = BPF_CORE_READ(inode, i_sb, s_dev);
	return 1;
}

/* As find_rule, by what is mapped at s->pc now: the rule's index, -1 if there is no code, -2 if the frame pointer is to
 * be followed, or NOT_KNOWN_YET. */
static __always_inline int rule_now(struct drip_scratch *s, struct drip_process *p)
{
	struct found_mapping found = {};
	struct drip_file *file;
	long result;

	if (!CAN_FIND)
		return s->changing ? find_rule(s, p) : -1;
	result = find_mapping(s->pc, &found);
	if (result == -2 /* ENOENT */)
		return -1;
	if (result)
		return NOT_KNOWN_YET; /* the kernel is changing the mappings this moment */
	if (!found.is_code)
		return -1;
	if (!found.has_file) {
		/* Of what is no file only the list knows tables: the vDSO has one. */
		int listed = s->changing ? find_rule(s, p) : -1;

		return listed < 0 ? -2 : listed;
	}
	file = bpf_map_lookup_elem(&files, &found.file);
	if (!file && shown_file(found.opened, &found.file))
		file = bpf_map_lookup_elem(&files, &found.file);
	if (!file)
		return NOT_KNOWN_YET;
	if (!file->page_count)
		return -2;
	return rule_in_pages(s->pc - (found.start + file->bias), file->first_page, file->page_count);
}

#endif
