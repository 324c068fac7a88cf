public import Binaries

/// The trace points by which an allocator with a sampler of its own tells of the blocks that it has chosen, read
/// instead of malloc and free: `otel_memory:alloc(pointer, size, weighted_bytes)` and `otel_memory:free(pointer)`,
/// the contract of the OpenTelemetry eBPF profiler (its design document 00003, "memory profiling"). Both fire for
/// chosen blocks alone. `weighted_bytes` is how many allocated bytes the block stands for.
public struct USDTPlan: Sendable, Hashable {
  public static let provider = "otel_memory"

  public enum Event: String, Sendable, Hashable, CaseIterable {
    case alloc
    case free

    /// Arguments of the contract; a probe may have more.
    var argumentCount: Int {
      switch self {
      case .alloc: 3
      case .free: 1
      }
    }
  }

  /// One place to put a probe.
  public struct Site: Sendable, Hashable {
    public var event: Event
    public var usdt: USDTSite

    public init(event: Event, usdt: USDTSite) {
      self.event = event
      self.usdt = usdt
    }

    /// Where the block's address stands, for both events.
    public var pointer: USDTArgument { usdt.arguments[0] }
    /// Where the requested size in bytes stands; nil for a free.
    public var size: USDTArgument? { event == .alloc ? usdt.arguments[1] : nil }
    /// Where the bytes stand that the block represents; nil for a free.
    public var weightedBytes: USDTArgument? { event == .alloc ? usdt.arguments[2] : nil }
  }

  /// By event, then by file offset; no two at one place.
  public var sites: [Site]

  public init(sites: [Site]) { self.sites = sites }

  /// Why the trace points of a file cannot stand in for malloc and free.
  public struct Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    public var reasons: [String]

    public var description: String {
      "The probes \(USDTPlan.provider):alloc and :free cannot be used: " + reasons.joined(separator: "; ")
    }
  }

  /// Finds the sites of a file. Nil if it has none; a refusal if any of them cannot be used. All or nothing:
  /// frees that go unseen at one site would look like leaks, whatever the others tell.
  public static func make(elf: ELFFile) throws(Refusal) -> USDTPlan? {
    let notes = USDTNote.read(elf).filter { $0.provider == provider && Event(rawValue: $0.name) != nil }
    guard !notes.isEmpty else { return nil }
    var sites: [UInt64: Site] = [:]
    var reasons: [String] = []
    for note in notes {
      guard let event = Event(rawValue: note.name) else { continue }
      do throws(USDTSite.Refusal) {
        let site = Site(event: event, usdt: try USDTSite(note, in: elf))
        guard site.usdt.arguments.count >= event.argumentCount else {
          throw USDTSite.Refusal(why: "it has \(site.usdt.arguments.count) arguments")
        }
        // One uprobe has one program and one semaphore.
        guard sites[note.address, default: site] == site else {
          throw USDTSite.Refusal(why: "another probe stands at the same place")
        }
        sites[note.address] = site
      } catch {
        reasons.append("\(note.name) at 0x\(String(note.address, radix: 16)): \(error.why)")
      }
    }
    for event in Event.allCases where !notes.contains(where: { $0.name == event.rawValue }) {
      reasons.append("there is no \(event.rawValue)")
    }
    guard reasons.isEmpty else { throw Refusal(reasons: reasons) }
    return USDTPlan(
      sites: sites.values.sorted {
        ($0.event.rawValue, $0.usdt.fileOffset) < ($1.event.rawValue, $1.usdt.fileOffset)
      })
  }
}
