// truth_rust SEED OPS — boxes, vectors and strings of Rust, counted by itself; protocol and output as in truth.c.
// Built with --cfg jemalloc the global allocator is a jemalloc with the prefix _rjem_, called as the jemallocator
// crates do it; else it is Rust's own, which is libc's malloc.

extern "C" {
    fn read(descriptor: i32, buffer: *mut u8, count: usize) -> isize;
    fn write(descriptor: i32, buffer: *const u8, count: usize) -> isize;
    #[cfg(jemalloc)]
    fn malloc(size: usize) -> *mut u8;
    #[cfg(jemalloc)]
    fn free(pointer: *mut u8);
}

#[cfg(jemalloc)]
mod jemalloc {
    use std::alloc::{GlobalAlloc, Layout};

    extern "C" {
        fn _rjem_malloc(size: usize) -> *mut u8;
        fn _rjem_mallocx(size: usize, flags: i32) -> *mut u8;
        fn _rjem_calloc(count: usize, size: usize) -> *mut u8;
        fn _rjem_realloc(pointer: *mut u8, size: usize) -> *mut u8;
        fn _rjem_rallocx(pointer: *mut u8, size: usize, flags: i32) -> *mut u8;
        fn _rjem_sdallocx(pointer: *mut u8, size: usize, flags: i32);
    }

    pub struct Jemalloc;

    // MALLOCX_LG_ALIGN, or 0 where every block is aligned well enough.
    fn flags(layout: &Layout) -> i32 {
        if layout.align() <= 16 && layout.align() <= layout.size() { 0 } else { layout.align().trailing_zeros() as i32 }
    }

    unsafe impl GlobalAlloc for Jemalloc {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if flags(&layout) == 0 { _rjem_malloc(layout.size()) } else { _rjem_mallocx(layout.size(), flags(&layout)) }
        }
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if flags(&layout) == 0 {
                _rjem_calloc(1, layout.size())
            } else {
                _rjem_mallocx(layout.size(), flags(&layout) | 0x40)
            }
        }
        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if flags(&layout) == 0 { _rjem_realloc(pointer, size) } else { _rjem_rallocx(pointer, size, flags(&layout)) }
        }
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            _rjem_sdallocx(pointer, layout.size(), flags(&layout))
        }
    }
}

#[cfg(jemalloc)]
#[global_allocator]
static GLOBAL: jemalloc::Jemalloc = jemalloc::Jemalloc;

#[allow(dead_code)]
#[repr(align(64))]
struct Wide([u8; 192]);

// What is kept, so that it is dropped when it is replaced.
#[allow(dead_code)]
enum Object {
    Boxed(Box<[u64; 9]>),
    Wide(Box<Wide>),
    Bytes(Vec<u8>),
    Text(String),
    Foreign(*mut u8),
}

// std::hint has it from 1.66 on.
fn black_box<T>(value: T) -> T {
    let copy = unsafe { std::ptr::read_volatile(&value) };
    std::mem::forget(value);
    copy
}

#[inline(never)]
fn site_box() -> (Object, u64) { (Object::Boxed(black_box(Box::new([1; 9]))), 72) }
#[inline(never)]
fn site_aligned() -> (Object, u64) { (Object::Wide(black_box(Box::new(Wide([1; 192])))), 192) }
#[inline(never)]
fn site_vec(size: usize) -> (Object, u64) { (Object::Bytes(black_box(Vec::with_capacity(size))), size as u64) }
#[inline(never)]
fn site_zeroed(size: usize) -> (Object, u64) { (Object::Bytes(black_box(vec![0u8; size])), size as u64) }
#[inline(never)]
fn site_string(size: usize) -> (Object, u64) { (Object::Text(black_box("x".repeat(size))), size as u64) }
#[inline(never)]
fn site_grow(bytes: &mut Vec<u8>, size: usize) { black_box(&mut *bytes).reserve_exact(size) }

// C code beside Rust's: libc's malloc, whatever the global allocator is.
#[cfg(jemalloc)]
#[inline(never)]
fn site_foreign(size: usize) -> (Object, u64) { (Object::Foreign(black_box(unsafe { malloc(size) })), size as u64) }
#[cfg(not(jemalloc))]
#[inline(never)]
fn site_foreign(size: usize) -> (Object, u64) { site_vec(size) }

const NAMES: [&str; 7] =
    ["site_box", "site_aligned", "site_vec", "site_zeroed", "site_string", "site_foreign", "site_grow"];

fn wait_for_line() {
    let mut byte = 0u8;
    while byte != b'\n' && unsafe { read(0, &mut byte, 1) } == 1 {}
}

fn say(text: &str) { unsafe { write(1, text.as_ptr(), text.len()); } }

struct Random(u64);
impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545f4914f6cdd1d) >> 11) % limit
    }
}

#[derive(Clone, Copy, Default)]
struct Counts { allocs: u64, frees: u64, allocated: u64, freed: u64 }

fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let mut random = Random(arguments.first().copied().unwrap_or(1) + 0x9e3779b97f4a7c15);
    let operations = arguments.get(1).copied().unwrap_or(30000);
    let mut slots: Vec<Option<(Object, u64, usize)>> = (0..1024).map(|_| None).collect();
    let mut counts = [Counts::default(); 7];
    say("READY\n");
    wait_for_line();
    for _ in 0..operations {
        let slot = &mut slots[random.below(1024) as usize];
        let size = 65 + random.below(20000) as usize;
        if let Some((mut object, old, site)) = slot.take() {
            counts[site].frees += 1;
            counts[site].freed += old;
            match &mut object {
                Object::Bytes(bytes) if bytes.is_empty() && random.below(2) == 0 => {
                    let larger = old as usize + size;
                    site_grow(bytes, larger);
                    counts[6].allocs += 1;
                    counts[6].allocated += larger as u64;
                    *slot = Some((object, larger as u64, 6));
                }
                #[cfg(jemalloc)]
                Object::Foreign(pointer) => unsafe { free(*pointer) },
                _ => (),
            }
            continue;
        }
        let site = random.below(6) as usize;
        let (object, bytes) = match site {
            0 => site_box(),
            1 => site_aligned(),
            2 => site_vec(size),
            3 => site_zeroed(size),
            4 => site_string(size),
            _ => site_foreign(size),
        };
        // Without jemalloc this is Rust's own site.
        let site = if site == 5 && !cfg!(jemalloc) { 2 } else { site };
        counts[site].allocs += 1;
        counts[site].allocated += bytes;
        *slot = Some((object, bytes, site));
    }
    // Nothing here may allocate: drip still counts.
    let mut total = Counts::default();
    let mut line = Line { bytes: [0; 256], length: 0 };
    say("DONE\n");
    for (name, c) in NAMES.iter().zip(counts.iter()) {
        line.print(name, c);
        total.allocs += c.allocs;
        total.frees += c.frees;
        total.allocated += c.allocated;
        total.freed += c.freed;
    }
    line.print("", &total);
    wait_for_line();
    say("BYE\n");
    std::process::exit(0);
}

struct Line { bytes: [u8; 256], length: usize }

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl Line {
    fn print(&mut self, name: &str, c: &Counts) {
        use std::fmt::Write;
        self.length = 0;
        let kind = if name.is_empty() { "TOTAL" } else { "SITE " };
        let _ = writeln!(
            self, "{}{} {} {} {} {} {} {}", kind, name, c.allocs, c.frees, c.allocated, c.freed,
            c.allocs - c.frees, c.allocated - c.freed);
        unsafe { write(1, self.bytes.as_ptr(), self.length); }
    }
}
