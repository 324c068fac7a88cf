import Binaries
import CProbes
import Libbpf

/// What the dynamic linkers of the processes say, and the files that walks find by themselves.
extension KernelHalf {
  /// Attaches the place where the dynamic linker tells of libraries.
  borrowing func attachLinker(_ location: ProbeLocation, _ place: Place) throws(LibbpfError) -> Links {
    try attach("linker_changed", [location], place)
  }

  /// Readable when the dynamic linker of a process has told of a library.
  var wakeDescriptor: CInt { wakeups.descriptor }

  /// What the dynamic linkers have told since the last call.
  borrowing func forEachLinkerEvent(_ body: (LoadedModule) -> Void) throws(LibbpfError) {
    try wakeups.consume { if let event = LoadedModule.read($0) { body(event) } }
  }

  /// Begins to follow the linker of a new process in a place, whose `r_debug` lies there.
  borrowing func followLinker(_ slot: Int, debug: UInt64) {
    linkers.withMutableElements(drip_linker.self) {
      $0[slot] = drip_linker(
        debug: debug, tail: 0, changes: 0, known: 0, state: 0, reserved: 0, reused_begin: 0, reused_end: 0)
    }
  }

  /// Goes on to follow it after a time without probes: what was last in its list may be gone. Changes count on.
  borrowing func resumeLinker(_ slot: Int) {
    linkers.withMutableElements(drip_linker.self) {
      $0[slot].tail = 0
      $0[slot].state = 0
    }
  }

  /// How often the linker of the process in a place has told of changes.
  borrowing func linkerChanges(_ slot: Int) -> UInt32 {
    linkers.withElements(drip_linker.self) { $0[slot].changes }
  }

  /// The lists are as the mappings were when the linker had told of so many changes.
  borrowing func linkerIsKnown(_ slot: Int, changes: UInt32) {
    linkers.withMutableElements(drip_linker.self) { $0[slot].known = changes }
  }

  /// Lets walks find a file's rows by its inode; without a placement they follow frame pointers in it. False if there is
  /// no room.
  borrowing func publish(
    _ id: UnwindLibrary.FileID, codeDelta: UInt64, _ placement: UnwindStore.Placement?
  ) -> Bool {
    let key = drip_file_key(
      inode: id.inode, device: id.deviceMajor << 20 | id.deviceMinor, reserved: 0)
    let base = (placement?.basePage ?? 0) << 16
    let file = drip_file(
      bias: base &- codeDelta, first_page: UInt32(placement?.firstPage ?? 0),
      page_count: UInt32(placement?.pageCount ?? 0))
    return (try? object.map("files").set(key: key, value: file)) != nil
  }
}
