import Foundation
import Testing

/// Who may know what of a device: read from the sources, so that no back end's habit spreads unseen.
@Suite struct SeamTests {
  /// Something that must not be said, and where it may be.
  private struct Rule: Sendable {
    let what: String
    let pattern: String
    /// Beginnings of paths that the rule is about.
    var places = ["Sources/", "Package.swift"]
    var exempt: [String] = []
    /// A line that breaks it.
    let example: String
  }

  /// Back ends follow addresses, as far as they can; so does the ruler of this processor, which calls the library itself.
  private static let insiders = [
    "Sources/Tensor/", "Sources/Host/", "Sources/CPUBackend/", "Sources/OracleBackend/",
    "Sources/Roofline/",
  ]

  private static let rules = [
    Rule(
      what: "memory of single precision",
      pattern: #"Unsafe(Mutable)?(Buffer)?Pointer<Float>"#,
      exempt: insiders, example: "func f(_ x: UnsafeMutableBufferPointer<Float>) {}"),
    Rule(
      what: "the address of a buffer", pattern: #"\bbuffer\.(address|floats)\b"#,
      // Other modules have never heard of buffers.
      places: [
        "Sources/Model/", "Sources/Eval/", "Sources/Train/", "Sources/Bench/", "Sources/lm-",
      ],
      example: "let x = weights.buffer.address + 3"),
    // Without it the compiler knows no address of a view, and no memory that no device was asked for.
    Rule(
      what: "memory of this process", pattern: #"\bimport Host\b|"Host""#,
      exempt: [
        "Sources/CPUBackend/", "Sources/OracleBackend/", "Sources/Roofline/", "Sources/Host/",
        "Package.swift",
      ],
      example: "import Host"),
    Rule(
      what: "the name of one back end", pattern: #"(?<!CLOCK_PROCESS_)CPU|Oracle|GPU|CUDA"#,
      // The checks of a device compare it with the definitions.
      exempt: [
        "Sources/Backends/", "Sources/CPUBackend/", "Sources/OracleBackend/", "Sources/GPUBackend/",
        "Sources/DeviceCheck/", "Package.swift",
      ],
      example: "import CPUBackend"),
    Rule(
      what: "the name of a card's back end", pattern: #"\b(CUDA|GPU)[A-Z]\w"#, places: ["Sources/"],
      exempt: ["Sources/Backends/", "Sources/GPUBackend/"],
      example: "let driver = try CUDADriver(card: 0)"),
    Rule(
      what: "vectors or a library of one machine", pattern: #"SIMD|BLAS"#,
      places: ["Sources/Tensor/"], example: "let x = SIMD8<Float>()"),
    Rule(
      what: "vectors where definitions are wanted", pattern: #"SIMD|BLAS|parallelFor"#,
      places: ["Sources/OracleBackend/"], example: "parallelFor(n) { _ in }"),
    Rule(
      what: "the name of one back end",
      pattern: #"CPU"#, places: ["Tests/"],
      // The tests of that back end, and what they share.
      exempt: ["Tests/TensorTests/", "Tests/TestSupport/", "Tests/BackendTests/SeamTests.swift"],
      example: "let kernels = CPUKernels()"),
  ]

  /// Lines that break a rule, comments left out.
  private static func violations(_ rule: Rule, path: String, text: String) throws -> [String] {
    func begins(_ parts: [String]) -> Bool { parts.contains { path.hasPrefix($0) } }
    guard begins(rule.places), !begins(rule.exempt) else { return [] }
    let pattern = try NSRegularExpression(pattern: rule.pattern)
    let whole = NSRange(text.startIndex..., in: text)
    guard pattern.firstMatch(in: text, range: whole) != nil else { return [] }
    return text.components(separatedBy: "\n").enumerated().compactMap { number, line in
      let code = line.components(separatedBy: "//")[0]
      let range = NSRange(code.startIndex..., in: code)
      guard pattern.firstMatch(in: code, range: range) != nil else { return nil }
      return "\(path):\(number + 1): \(rule.what): \(line)"
    }
  }

  @Test func nobodyKnowsABackEndButTheRegistry() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    var files = 0
    for folder in ["Sources", "Tests"] {
      let paths = FileManager.default.enumerator(atPath: root + "/" + folder)
      while let path = paths?.nextObject() as? String {
        guard path.hasSuffix(".swift") else { continue }
        files += 1
        let text = try String(contentsOfFile: root + "/" + folder + "/" + path, encoding: .utf8)
        for rule in Self.rules {
          let found = try Self.violations(rule, path: folder + "/" + path, text: text)
          #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
        }
      }
    }
    #expect(files > 300, "\(files) files below \(root)")
  }

  /// Every rule finds its bad line where it holds, and nowhere else.
  @Test func theGuardCanFail() throws {
    for rule in Self.rules {
      let text = "import Tensor\n\(rule.example)  // as it must not be\n"
      let place =
        rule.places[0] + (rule.places[0].hasSuffix("/") ? "Some.swift" : "some/Some.swift")
      #expect(try Self.violations(rule, path: place, text: text).count == 1, "\(rule.example)")
      #expect(try Self.violations(rule, path: place, text: "// " + rule.example).isEmpty)
      for exempt in rule.exempt {
        #expect(try Self.violations(rule, path: exempt + "Some.swift", text: text).isEmpty)
      }
    }
    #expect(
      try Self.violations(
        Self.rules[3], path: "Sources/lm-bench/Clock.swift", text: "CLOCK_PROCESS_CPUTIME_ID"
      ).isEmpty)
  }
}
