import CommandSupport
import Machine
import TestSupport
import Testing

@Suite struct ProcessorTests {
  @Test func whatIsMissingIsNamed() {
    #expect(Processor.missing(0) == [])
    #expect(Processor.missing(7) == ["AVX2", "FMA", "BMI2"])
    for bits in 0..<UInt32(8) {
      #expect(Processor.missing(bits).count == bits.nonzeroBitCount)
    }
    #expect((0..<3).flatMap { Processor.missing(1 << $0) } == Processor.missing(7))
  }

  @Test func theWidestVectorsAreChosen() throws {
    #expect(try VectorUnits.chosen([:], hasAVX512: true) == .avx512)
    #expect(try VectorUnits.chosen([:], hasAVX512: false) == .avx2)
    #expect(try VectorUnits.chosen(["LM_SIMD": ""], hasAVX512: true) == .avx512)
    #expect(try VectorUnits.chosen(["LM_SIMD": "avx2"], hasAVX512: true) == .avx2)
    #expect(try VectorUnits.chosen(["LM_SIMD": "avx512"], hasAVX512: true) == .avx512)
    #expect(throws: VectorUnitsError.missing(.avx512)) {
      try VectorUnits.chosen(["LM_SIMD": "avx512"], hasAVX512: false)
    }
    #expect(throws: VectorUnitsError.unknown("neon")) {
      try VectorUnits.chosen(["LM_SIMD": "neon"], hasAVX512: true)
    }
  }

  /// Every command says in one sentence that there are no such vectors.
  @Test(arguments: ["lm-train", "lm-eval", "lm-sample", "lm-bench"])
  func unknownVectorsAreRefused(name: String) throws {
    let refused = try runProgram("", [], shell: "LM_SIMD=sse \(name) --version")
    #expect(refused.status == 1)
    #expect(
      refused.errors
        == "\(name): error: LM_SIMD=sse: there are no such vector units; choose one of avx2, avx512\n"
    )
    let narrow = try runProgram("", [], shell: "LM_SIMD=avx2 \(name) --version")
    #expect(narrow.status == 0 && narrow.output.contains("8 lanes of AVX2"), "\(narrow.output)")
  }
}
