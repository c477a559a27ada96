// swift-tools-version: 6.2
// Modules and the arrows between them, in the order of the data flow:
//
//     text → Tokenize → LMData (shards, batches) → Model (logits, loss, gradients) → Eval, Train → commands
//
// Tensor says what a back end does and imports none; each back end is a module that imports Tensor.
// Storage holds files and checksums, Deterministic the threads and random numbers that give the same
// bits on any machine.
import PackageDescription

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Kernels are written with vectors of eight and sixteen floats: without AVX2 and FMA every fused
// multiply-add becomes a library call. Only the back end of this processor and what measures its limits
// are compiled this way, so that a command can look at the processor before the first such instruction
// runs.
#if arch(x86_64)
  let simd = strict + vectors("x86-64-v3")
#else
  let simd = strict
#endif

func vectors(_ processor: String) -> [SwiftSetting] {
  [
    .unsafeFlags(["-Xcc", "-march=\(processor)"]),
    // Unoptimised vectors are a hundred times slower: debug tests would spend minutes in kernels.
    .unsafeFlags(["-O"], .when(configuration: .debug)),
  ]
}

// The same back end again for processors with AVX-512, through a link to its folder; which of both runs
// is decided when a program starts. The linker keeps the first of equal functions of several modules,
// and reads modules by their names: this one stands behind all others that have any in common with it.
// With EMULATE_AVX512=1 it is compiled for AVX2, so that its bits can be compared on any machine.
let emulatesWide = Context.environment["EMULATE_AVX512"] != nil
#if arch(x86_64)
  let wide: [Target] = [
    .target(
      name: "WideCPUBackend", dependencies: ["CProcessor", "Deterministic", "Host", "Tensor"],
      swiftSettings: strict + [.define("AVX512")]
        + (emulatesWide ? [.define("EMULATE_AVX512")] : [])
        + vectors(emulatesWide ? "x86-64-v3" : "x86-64-v4"))
  ]
#else
  let wide: [Target] = []
#endif
let wideNames = wide.map { Target.Dependency.target(name: $0.name) }

// The emulator multiplies tiles and adds with one rounding, as a card does.
#if arch(x86_64)
  let emulated = ["-O2", "-Wno-unknown-pragmas", "-march=x86-64-v3"]
#else
  let emulated = ["-O2", "-Wno-unknown-pragmas"]
#endif

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

func command(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies + ["CommandSupport", "Provenance", argumentParser],
    swiftSettings: strict)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["TestSupport"], resources: resources,
    swiftSettings: strict)
}

// The driver has no main function of its own: libFuzzer brings it, so only scripts/sanitizers/fuzz.sh
// builds it.
let fuzzDriver: [Target] =
  Context.environment["FUZZ_DRIVER"] == nil
  ? []
  : [
    .executableTarget(
      name: "fuzz-driver", dependencies: ["FuzzTargets"], path: "Tests/FuzzDriver",
      swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])])
  ]

let package = Package(
  name: "billion-word-trainer",
  products: [
    // Tests open it under the names of NVIDIA's libraries.
    .library(name: "FakeCUDA", type: .dynamic, targets: ["FakeCUDA"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0")
  ],
  targets: [
    .systemLibrary(name: "CBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(
      name: "CSentencePiece",
      linkerSettings: [.linkedLibrary("sentencepiece"), .linkedLibrary("sentencepiece_train")]),

    .target(name: "Storage", dependencies: ["CProcessor"], swiftSettings: strict),
    // Runs before every build and costs nothing where the commit is the same.
    .plugin(name: "CommitPlugin", capability: .buildTool(), path: "Sources/CommitPlugin"),
    .target(
      name: "Provenance", dependencies: ["Storage"], swiftSettings: strict,
      plugins: ["CommitPlugin"]),
    .target(
      name: "Machine", dependencies: ["CProcessor"],
      swiftSettings: strict + (emulatesWide ? [.define("EMULATE_AVX512")] : [])),
    .target(
      name: "Deterministic", dependencies: ["CProcessor", "Machine"], swiftSettings: strict),
    // MPI is opened when a program runs: dlopen is in libc, and nothing of it is needed to build.
    .target(name: "CMPI"),
    .target(name: "Communication", dependencies: ["CMPI"], swiftSettings: strict),
    .target(name: "Tensor", dependencies: ["Deterministic"], swiftSettings: strict),
    .target(name: "Host", dependencies: ["Deterministic", "Tensor"], swiftSettings: strict),
    .target(
      name: "CPUBackend", dependencies: ["CProcessor", "Deterministic", "Host", "Tensor"],
      swiftSettings: simd),
    .target(
      name: "OracleBackend", dependencies: ["Deterministic", "Host", "Tensor"],
      swiftSettings: strict),
    // Declarations of NVIDIA's libraries, which are opened at run time.
    .target(name: "CCUDA"),
    // The kernels of a card are text, compiled when a run starts.
    .target(name: "CUDASource", exclude: ["kernels"]),
    .target(
      name: "GPUBackend",
      dependencies: [
        "CCUDA", "CUDASource", "Communication", "Deterministic", "Storage", "Tensor",
      ],
      swiftSettings: strict),
    .target(
      name: "Backends",
      dependencies: [
        "Communication", "CPUBackend", "GPUBackend", "Machine", "OracleBackend", "Tensor",
      ] + wideNames, swiftSettings: strict),
    .target(
      name: "DeviceCheck", dependencies: ["OracleBackend", "Deterministic", "Tensor"],
      swiftSettings: strict),
    .target(
      name: "Roofline",
      dependencies: ["CBLAS", "Deterministic", "Host", "Machine", "Tensor"],
      swiftSettings: simd),
    .target(
      name: "LMData", dependencies: ["CZstd", "Deterministic", "Storage"], path: "Sources/Data",
      swiftSettings: strict),
    .target(
      name: "Tokenize",
      dependencies: [
        "CProcessor", "CSentencePiece", "CZstd", "Deterministic", "LMData", "Storage",
      ],
      swiftSettings: strict),
    // A model for other programs is text, copied beside the weights.
    .target(name: "PythonSource", exclude: ["models"]),
    .target(
      name: "Model", dependencies: ["Deterministic", "PythonSource", "Tensor", "Storage"],
      swiftSettings: strict),
    .target(
      name: "Export", dependencies: ["LMData", "Model", "Storage", "Tensor", "Tokenize"],
      swiftSettings: strict),
    .target(
      name: "Eval",
      dependencies: [
        "Model", "Communication", "Deterministic", "Tensor", "LMData", "Provenance", "Storage",
      ],
      swiftSettings: strict),
    .target(
      name: "Train",
      dependencies: [
        "Eval", "Model", "Communication", "Deterministic", "Tensor", "LMData", "Provenance",
        "Storage",
      ],
      swiftSettings: strict),
    .target(
      name: "Ngrams", dependencies: ["Deterministic", "Storage", "Tokenize"], swiftSettings: strict),
    .target(
      name: "Report", dependencies: ["Train", "Eval", "LMData", "Model", "Provenance", "Storage"],
      swiftSettings: strict),
    .target(
      name: "Bench",
      dependencies: [
        "Train", "Model", "Backends", "Communication", "Deterministic", "Machine", "Tensor",
        "LMData", "Tokenize", "Storage",
      ],
      swiftSettings: strict),
    // Products are its loops: without optimisation tests in debug builds would spend minutes in them.
    .target(
      name: "CProcessor",
      cSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]),
    .target(
      name: "CommandSupport",
      dependencies: ["CProcessor", "Communication", "Machine", "Provenance", argumentParser],
      swiftSettings: strict),

    command("lm-tokenize", ["Communication", "Tokenize", "LMData", "Storage"]),
    command(
      "lm-train",
      [
        "Train", "Eval", "Model", "Backends", "Communication", "Deterministic", "Roofline",
        "Tensor",
        "LMData", "Tokenize", "Storage",
      ]),
    command(
      "lm-eval",
      [
        "Report", "Ngrams", "Train", "Eval", "Export", "Model", "Backends", "Communication",
        "Deterministic",
        "Tensor", "LMData",
        "Tokenize",
        "Storage",
      ]),
    command(
      "lm-sample", ["Eval", "Backends", "Deterministic", "Tensor", "LMData", "Tokenize", "Storage"]),
    command(
      "lm-bench",
      [
        "Bench", "Train", "Eval", "Model", "Backends", "Communication", "DeviceCheck",
        "Deterministic",
        "Machine", "Roofline", "Tensor", "LMData", "Tokenize", "Storage",
      ]),

    // The same text compiled for this processor.
    .target(
      name: "CUDAEmulator", dependencies: ["CUDASource"], path: "Tests/CUDAEmulator",
      cxxSettings: [
        .headerSearchPath("."), .headerSearchPath("../../Sources/CUDASource/kernels"),
        .unsafeFlags(emulated),
      ]),
    .target(
      name: "FakeCUDA", dependencies: ["CCUDA", "CUDAEmulator", "CUDASource"],
      path: "Tests/FakeCUDA", cSettings: [.unsafeFlags(["-O2", "-Wno-unused-parameter"])]),
    .target(
      name: "TestSupport",
      dependencies: [
        "Backends", "CUDAEmulator", "CUDASource", "GPUBackend", "Communication", "CPUBackend",
        "OracleBackend", "Deterministic", "Host", "Tensor",
        "LMData", "Storage",
        "Model", "Eval", "Train",
      ],
      path: "Tests/TestSupport", swiftSettings: strict),
    tests("StorageTests", ["Storage"]),
    tests(
      "TensorTests",
      ["CPUBackend", "OracleBackend", "Deterministic", "Host", "Roofline", "Tensor"],
      resources: [.copy("Fixtures")]),
    tests(
      "BackendTests",
      [
        "Backends", "CProcessor", "DeviceCheck", "GPUBackend", "Machine", "OracleBackend",
        "Deterministic", "Tensor",
      ]),
    tests(
      "GPUBackendTests",
      [
        "Communication", "CUDAEmulator", "CUDASource", "Deterministic", "GPUBackend", "Model",
        "Storage", "Tensor", "Train",
      ]),
    tests("LMDataTests", ["Deterministic", "LMData", "Storage"]),
    tests("TokenizeTests", ["Tokenize", "LMData", "Storage"]),
    tests(
      "ModelTests",
      [
        "Eval", "Model", "Backends", "Machine", "OracleBackend", "Deterministic", "Host", "Tensor",
        "Storage",
      ], resources: [.copy("Fixtures")]),
    tests(
      "EvalTests",
      ["Eval", "Model", "Backends", "Deterministic", "Host", "Tensor", "LMData", "Storage"]),
    tests("BenchTests", ["Backends", "Bench", "Model", "Tensor"]),
    tests("NgramsTests", ["Ngrams", "Storage", "Tokenize"]),
    tests("ReportTests", ["Report", "Train", "Eval", "LMData", "Model", "Provenance", "Storage"]),
    tests(
      "TrainTests",
      [
        "Train", "Eval", "Model", "Backends", "Communication", "Deterministic", "GPUBackend",
        "Host", "Tensor", "LMData", "Storage",
      ]),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "Train", "Eval", "Model", "Backends", "LMData", "Ngrams", "Tokenize", "Storage",
      ],
      path: "Tests/FuzzTargets", swiftSettings: strict),
    tests("FuzzTests", ["Deterministic", "FuzzTargets"]),
    tests(
      "CommandTests",
      [
        "CommandSupport", "LMData", "Machine", "Provenance", "Storage", "lm-bench", "lm-tokenize",
        "lm-train",
        "lm-eval",
        "lm-sample",
      ]),
  ] + wide + fuzzDriver,
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)
