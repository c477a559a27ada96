import Storage
import Testing
import Train

struct ScheduleTests {
  @Test func warmsUpLinearly() {
    for schedule in [
      Schedule.cosine(warmup: 10, floor: 0.1), .inverseSquareRoot(warmup: 10),
      .warmupStableDecay(warmup: 10, decay: 0.4),
    ] {
      #expect(schedule.rate(step: 1, of: 100, peak: 2) == 0.2)
      #expect(schedule.rate(step: 5, of: 100, peak: 2) == 1)
      #expect(schedule.rate(step: 10, of: 100, peak: 2) == 2)
    }
  }

  @Test func cosineEndsAtItsFloor() {
    let schedule = Schedule.cosine(warmup: 10, floor: 0.1)
    #expect(abs(schedule.rate(step: 55, of: 100, peak: 1) - 0.55) < 1e-12)
    #expect(abs(schedule.rate(step: 100, of: 100, peak: 1) - 0.1) < 1e-12)
  }

  @Test func inverseSquareRootFalls() {
    let schedule = Schedule.inverseSquareRoot(warmup: 100)
    #expect(abs(schedule.rate(step: 400, of: 1_000, peak: 1) - 0.5) < 1e-12)
    #expect(abs(Schedule.inverseSquareRoot(warmup: 0).rate(step: 4, of: 9, peak: 1) - 0.5) < 1e-12)
  }

  @Test func stableThenLinearToNothing() {
    let schedule = Schedule.warmupStableDecay(warmup: 10, decay: 0.4)
    #expect(schedule.rate(step: 60, of: 100, peak: 1) == 1)
    #expect(abs(schedule.rate(step: 81, of: 100, peak: 1) - 0.5) < 1e-12)
    #expect(abs(schedule.rate(step: 100, of: 100, peak: 1) - 0.025) < 1e-12)
  }

  @Test func everyRateOfARunIsPositive() {
    for schedule in [
      Schedule.cosine(warmup: 3, floor: 0), .inverseSquareRoot(warmup: 3),
      .warmupStableDecay(warmup: 3, decay: 1), .warmupStableDecay(warmup: 0, decay: 0),
    ] {
      for step in 1..<20 { #expect(schedule.rate(step: step, of: 20, peak: 1) > 0) }
    }
  }

  @Test func survivesJSON() throws {
    for schedule in [
      Schedule.cosine(warmup: 10, floor: 0.25), .inverseSquareRoot(warmup: 7),
      .warmupStableDecay(warmup: 1, decay: 0.5),
    ] {
      let bytes = try JSONFile.encode(schedule)
      #expect(try JSONFile.decode(Schedule.self, from: bytes, path: "s") == schedule)
    }
  }
}
