import LeakDetection
import Profile

/// Numbers strings, functions, mappings and locations as they come.
struct PprofBuilder {
  /// Addresses are the file's own, so that two captures of one program agree in spite of address randomisation.
  private struct LocationKey: Hashable {
    let mapping: UInt64
    let address: UInt64
    let lines: [LineKey]
  }

  private struct LineKey: Hashable {
    let function: UInt64
    let line: Int64
  }

  private struct FunctionKey: Hashable {
    let name: String
    let file: String
  }

  /// A path alone does not name a file: it may have been replaced between two processes.
  private struct MappingKey: Hashable {
    let path: String
    let buildID: String
  }

  private var message = Perftools_Profiles_Profile()
  private var strings: [String: Int64] = [:]
  private var functions: [FunctionKey: UInt64] = [:]
  private var mappings: [MappingKey: UInt64] = [:]
  private var locations: [LocationKey: UInt64] = [:]

  init() {
    _ = string("")
    message.sampleType = [
      type("alloc_objects", "count"), type("alloc_space", "bytes"), type("inuse_objects", "count"),
      type("inuse_space", "bytes"),
    ]
    message.defaultSampleType = string("inuse_space")
    message.periodType = type("space", "bytes")
    // Every allocation is counted.
    message.period = 1
  }

  /// pprof takes the first mapping for the program; without this it would be the C library.
  mutating func addExecutable(of profile: HeapProfile) {
    guard let path = profile.processes.first?.executable else { return }
    let frame = profile.sites.lazy.compactMap { site in site.frames.first { $0.module == path } }.first
    if let frame { _ = mapping(frame) }
  }

  mutating func add(_ site: Site, _ verdict: Verdict? = nil) {
    var sample = Perftools_Profiles_Sample()
    sample.value = [site.allocs, site.allocatedBytes, site.outstandingCount, site.outstandingBytes]
      .map { Int64(clamping: $0) }
    // Inlined frames stand before the one that they were inlined into; together they are one location.
    var open: [Frame] = []
    for frame in site.frames {
      open.append(frame)
      guard !frame.inlined else { continue }
      sample.locationID.append(location(open))
      open = []
    }
    if !open.isEmpty { sample.locationID.append(location(open)) }
    if site.frames.isEmpty {
      sample.locationID.append(location([Frame(address: 0, function: Wording.missingStack)]))
    }
    var pid = Perftools_Profiles_Label()
    pid.key = string("pid")
    pid.num = Int64(site.pid)
    sample.label = [pid]
    if site.stackEnd != .complete {
      var end = Perftools_Profiles_Label()
      end.key = string("stack_end")
      end.str = string(site.stackEnd.rawValue)
      sample.label.append(end)
    }
    if let verdict {
      var level = Perftools_Profiles_Label()
      level.key = string("verdict")
      level.str = string(verdict.level.rawValue)
      sample.label.append(level)
    }
    message.sample.append(sample)
  }

  mutating func finish(_ profile: HeapProfile) -> Perftools_Profiles_Profile {
    message.timeNanos = profile.capture.startUnixNanoseconds
    let seconds = profile.capture.seconds
    message.durationNanos = seconds.isFinite ? Int64(min(max(seconds, 0), 9e9) * 1e9) : 0
    message.comment = comments(profile).map { string($0) }
    return message
  }

  /// What a reader must know to judge the numbers; `go tool pprof -comments` prints them.
  private func comments(_ profile: HeapProfile) -> [String] {
    var lines = [
      "drip \(profile.dripVersion)", "kernel \(profile.capture.kernel), \(profile.capture.backend)",
    ]
    lines += profile.processes.map { "process \($0.pid) \($0.command), \($0.executable)" }
    lines += profile.capture.ended.map { ["ended early: \($0)"] } ?? []
    lines += profile.capture.filters.map { "only \($0)" }
    if profile.omittedSites > 0 {
      lines.append(
        "left out: \(profile.omittedSites) call sites with \(profile.omittedBytes) bytes outstanding")
    }
    if profile.view.filteredSites > 0 {
      lines.append(
        "filtered: \(profile.view.filteredSites) call sites with \(profile.view.filteredBytes) bytes outstanding"
      )
    }
    lines += profile.view.folded.map { ["folded: \($0)"] } ?? []
    lines.append("stacks: \(profile.stacks.summary)")
    lines += profile.checks.map { ["stack checks: \($0.summary)"] } ?? []
    lines += profile.losses.occurred.map { "\($0.count) \($0.kind.explanation)" }
    return lines
  }

  private mutating func string(_ text: String) -> Int64 {
    if let known = strings[text] { return known }
    let index = Int64(message.stringTable.count)
    message.stringTable.append(text)
    strings[text] = index
    return index
  }

  private mutating func type(_ type: String, _ unit: String) -> Perftools_Profiles_ValueType {
    var value = Perftools_Profiles_ValueType()
    value.type = string(type)
    value.unit = string(unit)
    return value
  }

  /// `frames`: one physical frame, after the functions inlined into it, innermost first as pprof wants them.
  private mutating func location(_ frames: [Frame]) -> UInt64 {
    guard let outer = frames.last else { return 0 }
    let lines = frames.map { LineKey(function: function($0), line: Int64($0.line ?? 0)) }
    let key = LocationKey(mapping: mapping(outer), address: outer.offset, lines: lines)
    if let known = locations[key] { return known }
    var location = Perftools_Profiles_Location()
    location.id = UInt64(locations.count + 1)
    location.mappingID = key.mapping
    // A return address; the line is that of the call before it.
    location.address = key.address
    location.line = lines.map { key in
      var line = Perftools_Profiles_Line()
      line.functionID = key.function
      line.line = key.line
      return line
    }
    locations[key] = location.id
    message.location.append(location)
    return location.id
  }

  private mutating func function(_ frame: Frame) -> UInt64 {
    let key = FunctionKey(name: frame.function ?? CallSite.place(frame), file: frame.file ?? "")
    if let known = functions[key] { return known }
    var function = Perftools_Profiles_Function()
    function.id = UInt64(functions.count + 1)
    function.name = string(key.name)
    function.systemName = function.name
    function.filename = string(key.file)
    functions[key] = function.id
    message.function.append(function)
    return function.id
  }

  /// The file of a frame; 0, which is none, for memory that belongs to no file.
  private mutating func mapping(_ frame: Frame) -> UInt64 {
    guard let path = frame.module else { return 0 }
    let key = MappingKey(path: path, buildID: frame.buildID ?? "")
    let id = mappings[key] ?? UInt64(mappings.count + 1)
    if mappings.updateValue(id, forKey: key) == nil {
      var mapping = Perftools_Profiles_Mapping()
      mapping.id = id
      mapping.filename = string(path)
      mapping.buildID = string(key.buildID)
      // Everything that could be named is named: a reader need not look for the file.
      mapping.hasFunctions_p = true
      mapping.hasFilenames_p = true
      mapping.hasLineNumbers_p = true
      mapping.hasInlineFrames_p = true
      message.mapping.append(mapping)
    }
    // The file's own addresses count from 0, so the mapping spans from there to the last one seen.
    let index = Int(id) - 1
    let end = frame.offset == .max ? .max : frame.offset + 1
    message.mapping[index].memoryLimit = max(message.mapping[index].memoryLimit, end)
    return id
  }
}
