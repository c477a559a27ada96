import CPUBackend
import Host
import Machine
import Roofline
import Synchronization
import Tensor
import Testing

struct MatrixPeakTests {
  /// A library whose kernels do not fit the processor is no ruler, and costs little time.
  @Test func theFasterProductCounts() {
    var time = 0.0
    var runs = [0, 0]
    func product(_ index: Int, _ seconds: Double) -> () -> Void {
      {
        time += seconds; runs[index] += 1
      }
    }
    let least = MatrixPeak.shortest(
      of: [product(0, 0.02), product(1, 0.2)], seconds: 1, now: { time })
    #expect(abs(least - 0.02) < 1e-9)
    #expect(runs[1] == 2 && runs[0] > 20, "\(runs)")

    (time, runs) = (0, [0, 0])
    let other = MatrixPeak.shortest(
      of: [product(0, 0.03), product(1, 0.02)], seconds: 1, now: { time })
    #expect(abs(other - 0.02) < 1e-9)
    #expect(runs[0] == runs[1] && runs[0] > 10, "\(runs)")
  }

  @Test func allThreadsHaveAsMuchToDo() {
    for threads in 1...1_024 {
      let blocks = MatrixPeak.blocks(threads: threads)
      #expect(blocks % threads == 0 && blocks >= 8 && blocks <= max(14, threads))
    }
    // As it was measured before, where it was right.
    #expect([1, 2, 4, 8].allSatisfy { MatrixPeak.blocks(threads: $0) == 8 })
  }

  /// The ruler is no shorter than what it measures, with a margin for a busy machine.
  @Test func noProductIsFarAboveIt() throws {
    let x = View(rows: 1_536, columns: 1_024)
    let w = View(rows: 1_024, columns: 1_024)
    let y = View(rows: 1_536, columns: 1_024)
    x.fill(0.5)
    w.fill(0.25)
    var best = Double.infinity
    for _ in 0..<3 {
      let began = WallClock.seconds()
      CPUKernels().linearForward(y: y, x: x, w: w, accumulate: false)
      best = min(best, WallClock.seconds() - began)
    }
    #expect(2 * 1_536 * 1_024 * 1_024 / best < 3 * (try MatrixPeak.measure(CPUKernels())))
  }
}
