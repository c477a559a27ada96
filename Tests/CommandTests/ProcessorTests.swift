import CommandSupport
import Testing

@Suite struct ProcessorTests {
  private func cpuinfo(_ flags: String) -> String {
    "processor\t: 0\nmodel name\t: Some processor with avx2\nflags\t\t: \(flags)\nbugs\t\t: fma\n\n"
  }

  @Test(arguments: [
    ("fpu avx avx2 fma bmi1 bmi2 sse", []), ("avx2 fma bmi2", []),
    ("fpu avx sse", ["avx2", "fma", "bmi2"]),
    ("avx2 bmi2 fma4", ["fma"]), ("", ["avx2", "fma", "bmi2"]),
  ])
  func missingFlagsAreNamed(flags: String, missing: [String]) {
    #expect(Processor.missingVectorUnits(cpuinfo: cpuinfo(flags)) == missing)
  }

  @Test func aProcessorThatDoesNotSayIsTrusted() {
    #expect(Processor.missingVectorUnits(cpuinfo: "") == [])
    #expect(Processor.missingVectorUnits(cpuinfo: "processor\t: 0\nFeatures\t: fp asimd\n") == [])
  }
}
