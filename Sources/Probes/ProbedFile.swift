public import Binaries
public import Profile

/// One file that holds an allocator, with the places to probe in it.
public struct ProbedFile: Sendable, Hashable {
  /// A path that opens the very file, also across mount namespaces.
  public var path: String
  /// The path as the target sees it.
  public var displayPath: String
  public var allocator: AllocatorImage.Kind
  /// Whether the allocator serves only who calls it by its own names, or this file alone.
  public var isPrivate: Bool
  /// Entry points, by call, then by file offset; no two at one place.
  public var sites: [ProbeSite]
  /// Functions of which the inside can be probed instead, with one trap a call. Their entries are in `sites` too:
  /// which of the two is used is decided on the live target.
  public var oneTrap: [OneTrapFunction]
  /// Of the other functions that allocate, by their plainest names: why they cannot be probed from the inside.
  public var oneTrapRefusals: [String: String] = [:]

  public init(
    path: String, displayPath: String, allocator: AllocatorImage.Kind, isPrivate: Bool = false,
    sites: [ProbeSite] = [], oneTrap: [OneTrapFunction] = []
  ) {
    self.path = path
    self.displayPath = displayPath
    self.allocator = allocator
    self.isPrivate = isPrivate
    self.sites = sites
    self.oneTrap = oneTrap
  }
}

/// A function that one-trap sites cover on every path.
public struct OneTrapFunction: Sendable, Hashable {
  public var call: AllocatorCall
  /// All names of the function, the plainest first.
  public var names: [String]
  /// Virtual address in the file.
  public var functionAddress: UInt64
  /// Where in the file the entry's own probe goes: the site in `ProbedFile.sites` that these replace.
  public var entryFileOffset: UInt64
  /// It may be left by an exception, which the entry's return probe would make the end of the program: these sites
  /// are the only way.
  public var mayThrow: Bool
  /// The sites with their offsets in the file in bytes.
  public var sites: [Located]

  public struct Located: Sendable, Hashable {
    public var site: OneTrapSite
    public var fileOffset: UInt64

    public init(site: OneTrapSite, fileOffset: UInt64) {
      self.site = site
      self.fileOffset = fileOffset
    }
  }

  public init(
    call: AllocatorCall, names: [String], functionAddress: UInt64, entryFileOffset: UInt64,
    mayThrow: Bool = false, sites: [Located]
  ) {
    self.mayThrow = mayThrow
    self.call = call
    self.names = names
    self.functionAddress = functionAddress
    self.entryFileOffset = entryFileOffset
    self.sites = sites
  }
}
