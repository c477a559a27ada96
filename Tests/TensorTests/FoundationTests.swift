import CPUBackend
import Deterministic
import Foundation
import Host
import Roofline
import Synchronization
import Tensor
import TestSupport
import Testing

@Suite struct CounterRandomTests {
  @Test func streamsAreNamedBySeedAndWords() {
    let keys = [
      CounterRandom(seed: 1).key, CounterRandom(seed: 2).key, CounterRandom(seed: 1, 0).key,
      CounterRandom(seed: 1, 1).key, CounterRandom(seed: 1, 0, 1).key,
      CounterRandom(seed: 1, 1, 0).key,
    ]
    #expect(Set(keys).count == keys.count)
    #expect(CounterRandom(seed: 5, 6, 7).key == CounterRandom(seed: 5, 6, 7).key)
  }

  @Test func uniformFillsTheUnitInterval() {
    let random = CounterRandom(seed: 3)
    let count = 100_000
    var cells = [Int](repeating: 0, count: 10)
    for index in 0..<count {
      let value = random.uniform(UInt64(index))
      #expect(value >= 0 && value < 1)
      cells[Int(value * 10)] += 1
    }
    // 5 deviations of a binomial with p = 0.1.
    for cell in cells { #expect(abs(cell - count / 10) < 475) }
  }

  @Test func gaussianMoments() {
    let random = CounterRandom(seed: 4)
    let count = 200_000
    var power = [Double](repeating: 0, count: 5)
    for index in 0..<count {
      let value = random.gaussian(UInt64(index))
      for exponent in 1...4 { power[exponent] += pow(value, Double(exponent)) / Double(count) }
    }
    #expect(abs(power[1]) < 0.012)
    #expect(abs(power[2] - 1) < 0.016)
    #expect(abs(power[3]) < 0.045)
    #expect(abs(power[4] - 3) < 0.11)
  }

  @Test func fillDoesNotDependOnThreads() {
    expectThreadIndependence {
      let view = View(rows: 30, columns: 2_001)
      view.fillGaussian(deviation: 0.02, from: CounterRandom(seed: 5))
      return [view]
    }
  }
}

@Suite struct ExponentialTests {
  @Test func relativeErrorOverTheRange() {
    var worst = 0.0
    for step in 0..<200_000 {
      let x = Float(-87.3 + 175.6 * Double(step) / 200_000)
      let expected = exp(Double(x))
      worst = max(worst, abs(Double(exponential(x)) - expected) / expected)
    }
    #expect(worst < 2e-7)
  }

  @Test func edges() {
    #expect(exponential(Float(0)) == 1)
    #expect(exponential(-Float.infinity) == 0)
    #expect(exponential(Float(-88)) == 0)
    #expect(exponential(Float(-1e30)) == 0)
    #expect(exponential(Float(1e30)).isFinite)
    #expect(exponential(Float.infinity).isFinite)
    #expect(exponential(Float.nan).isNaN)
  }

  @Test func horizontalReductions() {
    for place in 0..<8 {
      var lanes = Lanes(-9, -8, -7, -6, -5, -4, -3, -2)
      lanes[place] = 4
      #expect(horizontalMax(lanes) == 4)
      #expect(horizontalSum(lanes) == (0..<8).reduce(0) { $0 + lanes[$1] })
    }
    #expect(
      maximum(Lanes(repeating: 1), Lanes(0, 2, 0, 2, 0, 2, 0, 2)) == [1, 2, 1, 2, 1, 2, 1, 2])
  }
}

@Suite struct ParallelTests {
  @Test func everyIndexOnceAndNested() {
    for threads in [1, 2, 3] {
      withThreads(threads) {
        let seen = View(rows: 100, columns: 50)
        parallelFor(100) { row in
          parallelFor(50, grain: 7) { range in
            for column in range { seen[row, column] += 1 }
          }
        }
        #expect(seen.elements.allSatisfy { $0 == 1 })
      }
    }
  }
}

/// Every piece of a loop is done once, whoever comes early or late, and whatever other loops there are.
@Suite struct ManyLoopsTests {
  @Test func oneAfterAnother() {
    withThreads(4) {
      for turn in 0..<20_000 {
        let count = 2 + turn % 9
        let marks = (0..<16).map { _ in Mark() }
        parallelFor(count) { marks[$0].value.add(1, ordering: .relaxed) }
        let seen = marks.map { $0.value.load(ordering: .relaxed) }
        guard seen == (0..<16).map({ $0 < count ? 1 : 0 }) else {
          Issue.record("turn \(turn) of \(count) pieces: \(seen)")
          return
        }
        // Long enough for the others to fall asleep.
        if turn % 1_000 == 0 { usleep(2_000) }
      }
    }
  }

  @Test func fromSeveralThreadsAtOnce() {
    withThreads(4) {
      let total = Mark()
      DispatchQueue.concurrentPerform(iterations: 4) { _ in
        for turn in 0..<2_000 {
          parallelFor(1 + turn % 7) { piece in
            parallelFor(3) { total.value.add(piece + $0, ordering: .relaxed) }
          }
        }
      }
      let expected = (0..<2_000).reduce(0) { sum, turn in
        sum + (0...turn % 7).reduce(0) { $0 + 3 * $1 + 3 }
      }
      #expect(total.value.load(ordering: .relaxed) == 4 * expected)
    }
  }

  private final class Mark: Sendable {
    let value = Atomic<Int>(0)
  }
}

struct WorkingMemoryTests {
  @Test func theLargestRequestOfATaskIsSeen() throws {
    let kernels = CPUKernels()
    func attend(_ length: Int) throws -> WorkingNeed {
      let (x, o, lse) = (
        View(rows: length, columns: 32), View(rows: length, columns: 32),
        View(rows: 2, columns: length)
      )
      let pass = AttentionPass(
        try Sequences([0, length], on: kernels), layer: 0, draw: .evaluation(seed: 0))
      return kernels.workingNeed {
        kernels.softmaxAttention(SoftmaxShape(heads: 2, scale: 1)).forward(
          AttentionTensors(q: x, k: x, v: x, o: o, saved: lse), pass)
      }
    }
    // Keys and values of one head are packed whole.
    let difference = try attend(3_000).task - attend(1_000).task
    #expect((2_000 * 32...2_000 * 64).contains(difference), "\(difference)")
    #expect(kernels.workingNeed {} == WorkingNeed())
  }

  @Test func attentionAndHeadTakeTurns() {
    let threads = Parallel.threads
    let product = WorkPlan.Product(outputs: 1 << 11, inputs: 1 << 10)
    func plan(_ task: Int, _ shared: Int, tasks: Int = threads) -> Int {
      CPUKernels().workingBytes(
        WorkPlan(
          positions: 1, width: 1, vocabulary: 1_000, products: [product], muon: [],
          attention: WorkingNeed(task: task, shared: shared), attentionTasks: tasks))
    }
    let small = 2 << 20
    let logits = HostMemory.bytes(count: crossEntropyScratchFloats(vocabulary: 1_000))
    let panels = HostMemory.bytes(
      count: productPanelFloats(columns: product.outputs, steps: product.inputs))
    #expect(logits <= panels)
    #expect(plan(0, 0) == logits + panels + threads * small)
    // What attention shares stands in for the larger of the two, tasks for as many as they are.
    let large = 5 << 20
    #expect(plan(0, large) == 4 * large + logits + threads * small)
    #expect(plan(large, 0) == threads * 4 * large + (threads == 1 ? logits : small) + small)
    // Threads without a task of attention still have their part of a product.
    #expect(plan(large, 0, tasks: 1) == 4 * large + logits + threads * small)
  }

  @Test func whatIsNotThereIsNotReserved() {
    let plan = WorkPlan(
      positions: 1, width: 1, vocabulary: 1, products: [], muon: [],
      attention: WorkingNeed(task: Buffer.mostNumbers >> 4), attentionTasks: 1)
    #expect(throws: DeviceError.self) { try CPUKernels().reserveWorkingMemory(plan) }
  }

  @Test func buffersAreCounted() {
    // Other tests allocate meanwhile, so only what must have been added is asked.
    let before = Buffer.allocations
    let held = Buffer(count: 1 << 20)
    #expect(Buffer.allocations > before)
    #expect(Buffer.allocatedBytes >= HostMemory.bytes(count: held.count))
    #expect(HostMemory.bytes(count: 1) == HostMemory.bytes(count: 1_024))
    #expect(HostMemory.bytes(count: 1 << 19) == 2 << 20)
    #expect(HostMemory.bytes(count: 1 << 19 + 1) == 4 << 20)
  }

  @Test func memoryIsReadFasterThanADisk() {
    #expect(MemoryBandwidth.measure(bytes: 1 << 24, seconds: 0) > 1e8)
  }
}
