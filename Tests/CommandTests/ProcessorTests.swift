import CommandSupport
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
}
