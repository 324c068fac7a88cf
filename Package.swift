// swift-tools-version: 6.2
import PackageDescription

// One set of rules for every Swift target: Swift 6 mode with the upcoming features that make
// imports and existentials explicit, and no warning left standing.
let house: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: house)
}

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")

let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")

let package = Package(
  name: "drip",
  products: [.executable(name: "drip", targets: ["drip"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: [
    // C boundary: module maps and the thinnest shims.
    .systemLibrary(name: "CLibbpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
    .systemLibrary(name: "CElfutils", pkgConfig: "libdw", providers: [.apt(["libdw-dev"])]),
    .systemLibrary(name: "CCapstone", pkgConfig: "capstone", providers: [.apt(["libcapstone-dev"])]),
    .systemLibrary(name: "CLzma", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CLibbpfShims", dependencies: ["CLibbpf"]),
    .target(name: "CLinuxShims"),
    .target(name: "CSymbolShims", dependencies: ["CElfutils"]),
    // The BPF programs, embedded as bytes, with the header that both sides share.
    .target(
      name: "CProbes", path: "bpf",
      exclude: [
        "build", "user.bpf.c", "doctor.bpf.c", "kernel_types.h", "compat.bpf.h", "losses.bpf.h",
        "table.bpf.h", "sites.bpf.h", "stack.bpf.h", "inflight.bpf.h", "targets.bpf.h", "lifecycle.bpf.h",
        "memo.bpf.h", "machine.bpf.h", "linker.bpf.h", "vma.bpf.h",
        "cache.bpf.h", "record.bpf.h", "sampling.bpf.h", "check.bpf.h", "python.bpf.h", "scratch.bpf.h",
        "birth.bpf.h",
        "kernel.bpf.c", "kernel_sites.bpf.h", "kernel_events.bpf.h", "kernel_functions.bpf.h",
      ],
      sources: ["objects.c"], publicHeadersPath: "include"),

    // The parts of libdrip-sampler.so that know of no allocator, for its tests; the library is built by make.
    .target(
      name: "CSampler", path: "sampler",
      exclude: ["build.mk", "countdown.c", "hooks.c", "next.c", "operators.c", "probes.c", "sampler.h"],
      sources: ["draw.c", "table.c"], publicHeadersPath: "include"),

    // Arrows point down; see docs/architecture.md.
    module("Profile"),
    module("Libbpf", ["CLibbpf", "CLibbpfShims"]),
    module("Binaries", ["Profile", "CCapstone", "CLzma", "CZlib"]),
    module("Processes", ["Profile", "CLinuxShims"]),
    module("Probes", ["Profile", "Binaries"]),
    module("Symbolication", ["Profile", "Processes", "Binaries", "CElfutils", "CSymbolShims"]),
    module(
      "Capture", ["Profile", "Libbpf", "CProbes", "Probes", "Processes", "Binaries", "CSymbolShims"]),
    module("PointerScan", ["Profile", "Processes"]),
    module("LeakDetection", ["Profile"]),
    module("Governor"),
    module("Store", ["Profile", grdb]),
    module("Trends"),
    module("Reports", ["Profile", "LeakDetection", "Store", "CZlib", protobuf]),
    .executableTarget(
      name: "drip",
      dependencies: [
        "Capture", "Symbolication", "LeakDetection", "PointerScan", "Reports", "Processes", "Probes",
        "Binaries", "Libbpf", "Store", "Trends", "Governor",
        "Profile", argumentParser,
      ],
      swiftSettings: house),

    // For `make bench` only.
    .executableTarget(
      name: "symbol-bench", dependencies: ["Symbolication", "Processes", "Profile"],
      path: "Benchmarks/symbols",
      swiftSettings: house),

    // Simulated programs with known leaks, and what judges detectors by them: for tests and `make evaluate` only.
    .target(
      name: "DetectionLab", dependencies: ["Profile"], path: "Benchmarks/DetectionLab", swiftSettings: house),
    .executableTarget(
      name: "drip-evaluate", dependencies: ["DetectionLab", "LeakDetection", "Profile"],
      path: "Benchmarks/evaluate", swiftSettings: house),
    tests("DetectionLabTests", ["DetectionLab", "Profile"]),
    .executableTarget(
      name: "detection-bench",
      dependencies: [
        "LeakDetection", "PointerScan", "Capture", "Probes", "Processes", "Binaries", "Profile",
      ],
      path: "Benchmarks/detection",
      swiftSettings: house),

    tests("ProfileTests", ["Profile"]),
    tests("LibbpfTests", ["Libbpf", "CProbes"]),
    tests("BinariesTests", ["Binaries", "Profile"]),
    tests("ProcessesTests", ["Processes", "Profile"]),
    tests("ProbesTests", ["Probes", "Binaries", "Profile"]),
    tests("SymbolicationTests", ["Symbolication", "Profile"]),
    tests("PointerScanTests", ["PointerScan", "Profile", "Processes"]),
    tests("LeakDetectionTests", ["LeakDetection", "Profile"]),
    tests("ReportsTests", ["Reports", "LeakDetection", "Profile", "Store", protobuf]),
    tests("CaptureTests", ["Capture", "CProbes", "Libbpf", "Profile", "Probes", "Processes"]),
    tests("SamplerTests", ["CSampler"]),
    tests("GovernorTests", ["Governor"]),
    tests("TrendsTests", ["Trends"]),
    // Writes to a store until a test kills it.
    .executableTarget(
      name: "store-writer", dependencies: ["Store"], path: "Tests/StoreWriter", swiftSettings: house),
    tests("StoreTests", ["Store", "Profile", "store-writer", grdb]),
    .testTarget(
      name: "LiveTests",
      dependencies: [
        "Profile", "Binaries", "Capture", "PointerScan", "Probes", "Processes", "LeakDetection",
      ],
      path: "Tests/Live", swiftSettings: house),
    tests("GuestTests", []),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu2x
)
