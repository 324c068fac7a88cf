public import Profile
import SwiftProtobuf

/// pprof's gzipped profile.proto, with the four sample types of Go's heap profiles in Go's order, which is what
/// pprof, Pyroscope and Parca expect.
public enum PprofReport {
  public static func render(_ profile: HeapProfile) throws(ReportError) -> [UInt8] {
    var builder = PprofBuilder()
    for site in profile.sites { builder.add(site) }
    let message = builder.finish(profile)
    guard let bytes: [UInt8] = try? message.serializedBytes() else { throw .compression(code: 0) }
    return try Gzip.compress(bytes)
  }
}

/// Numbers strings, functions, mappings and locations as they come.
struct PprofBuilder {
  private struct LocationKey: Hashable {
    let frames: [Frame]
  }

  private var message = Perftools_Profiles_Profile()
  private var strings: [String: Int64] = [:]
  private var functions: [String: UInt64] = [:]
  private var mappings: [String: UInt64] = [:]
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

  mutating func add(_ site: Site) {
    var sample = Perftools_Profiles_Sample()
    sample.value = [site.allocs, site.allocatedBytes, site.outstandingCount, site.outstandingBytes]
      .map { Int64(clamping: $0) }
    var start = site.frames.startIndex
    // Inlined frames stand before the one that they were inlined into; together they are one location.
    for index in site.frames.indices where !site.frames[index].inlined {
      sample.locationID.append(location(Array(site.frames[start...index])))
      start = index + 1
    }
    if site.frames.isEmpty {
      sample.locationID.append(location([Frame(address: 0, function: "(no room for this stack)")]))
    }
    var label = Perftools_Profiles_Label()
    label.key = string("pid")
    label.num = Int64(site.pid)
    sample.label = [label]
    message.sample.append(sample)
  }

  mutating func finish(_ profile: HeapProfile) -> Perftools_Profiles_Profile {
    message.timeNanos = profile.capture.startUnixNanoseconds
    message.durationNanos = Int64(clamping: Int(min(max(profile.capture.seconds, 0), 9e9) * 1e9))
    var comments = ["drip \(profile.dripVersion)", "kernel \(profile.capture.kernel), \(profile.capture.backend)"]
    comments += profile.capture.filters.map { "only \($0)" }
    comments += profile.losses.occurred.map { "\($0.count) \($0.kind.explanation)" }
    message.comment = comments.map { string($0) }
    return message
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

  private mutating func location(_ frames: [Frame]) -> UInt64 {
    let key = LocationKey(frames: frames)
    if let known = locations[key] { return known }
    var location = Perftools_Profiles_Location()
    location.id = UInt64(locations.count + 1)
    if let outer = frames.last {
      // A return address: pprof, too, takes the call to stand before it.
      location.address = outer.address
      if let module = outer.module { location.mappingID = mapping(module, outer) }
    }
    location.line = frames.map { frame in
      var line = Perftools_Profiles_Line()
      line.functionID = function(frame)
      line.line = Int64(frame.line ?? 0)
      return line
    }
    locations[key] = location.id
    message.location.append(location)
    return location.id
  }

  private mutating func function(_ frame: Frame) -> UInt64 {
    let name = frame.function ?? CallSite.place(frame)
    let key = name + "\u{0}" + (frame.file ?? "")
    if let known = functions[key] { return known }
    var function = Perftools_Profiles_Function()
    function.id = UInt64(functions.count + 1)
    function.name = string(name)
    function.systemName = function.name
    function.filename = string(frame.file ?? "")
    functions[key] = function.id
    message.function.append(function)
    return function.id
  }

  private mutating func mapping(_ module: String, _ frame: Frame) -> UInt64 {
    if let known = mappings[module] { return known }
    var mapping = Perftools_Profiles_Mapping()
    mapping.id = UInt64(mappings.count + 1)
    mapping.filename = string(module)
    mapping.buildID = string(frame.buildID ?? "")
    // Everything that could be named is named: a reader need not look for the file.
    mapping.hasFunctions_p = true
    mapping.hasFilenames_p = true
    mapping.hasLineNumbers_p = true
    mapping.hasInlineFrames_p = true
    mappings[module] = mapping.id
    message.mapping.append(mapping)
    return mapping.id
  }
}
