import Bench
import Testing

struct ChildTests {
  @Test func outputTimeAndMemoryAreThoseOfTheProgram() throws {
    let outcome = try Child(
      "/bin/sh", ["-c", "sleep 0.05; echo $0 $1; sleep 0.05; exit 3", "a b", "c"]
    )
    .run()
    #expect(outcome.status >> 8 == 3)
    #expect(String(decoding: outcome.output, as: UTF8.self) == "a b c\n")
    let first = try #require(outcome.firstOutput)
    #expect(first >= 0.05 && outcome.seconds >= first + 0.04)
    #expect(outcome.peakBytes > 100_000)
  }

  @Test func aProgramThatIsNotThereIsNamed() {
    let error = #expect(throws: ChildError.self) { try Child("/no/such/program", []).run() }
    #expect(error?.description.contains("/no/such/program") ?? false)
  }

  @Test func silenceHasNoFirstOutput() throws {
    #expect(try Child("/bin/sh", ["-c", "exit 0"]).run().firstOutput == nil)
  }
}
