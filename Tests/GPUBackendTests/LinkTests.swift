import Communication
import GPUBackend
import Tensor
import TestSupport
import Testing

/// Numbers between the cards of ranks that are threads, by a stand-in for NCCL.
@Suite struct LinkTests {
  private static let names = CUDASandbox.names + ["libnccl.so.2"]

  /// The way that each rank finds, or its error.
  private func ways(
    _ sandbox: CUDASandbox, cards: [Int], _ environment: [String: String] = [:]
  ) throws -> [String] {
    let drivers = try cards.map { try sandbox.driver(card: $0) }
    return try ThreadRanks.run(cards.count) { ranks in
      do {
        return try CardLink(drivers[ranks.rank], .float32, ranks, environment: environment)
          .description
      } catch {
        return "\(error)"
      }
    }
  }

  /// Parts of several lengths, to and from memory that is also sent, and to the rank itself.
  @Test func everyPartComesToItsPlace() throws {
    let sandbox = try CUDASandbox("cards=3", names: Self.names)
    let drivers = try (0..<3).map { try sandbox.driver(card: $0) }
    // Rank a sends a + b + 1 numbers to rank b, which are at 10 * b, and of which it takes those at
    // 10 * a + 5 in its own memory.
    let found = try ThreadRanks.run(3) { ranks in
      let own = ranks.rank
      let kernels = GPUKernels(drivers[own])
      let way = try CardLink(drivers[own], .float32, ranks, environment: [:])
      let link = try #require(way.link)
      #expect(way.description.hasPrefix("NCCL 2.27.3 ("))
      let memory = try kernels.makeView(rows: 1, columns: 30)
      try kernels.write((0..<30).map { Float(100 * own + $0) }, to: memory)
      for _ in 0..<3 {
        link.kernels.follow(try kernels.mark())
        try link.exchange(
          memory, (0..<3).map { 10 * $0..<10 * $0 + own + $0 + 1 }, into: memory,
          (0..<3).map { 10 * $0 + 5..<10 * $0 + 5 + own + $0 + 1 }
        ) { false }
      }
      return try kernels.numbers(of: memory)
    }
    for own in 0..<3 {
      var expected = (0..<30).map { Float(100 * own + $0) }
      for rank in 0..<3 {
        for n in 0...own + rank { expected[10 * rank + 5 + n] = Float(100 * rank + 10 * own + n) }
      }
      #expect(found[own] == expected)
    }
    #expect(sandbox.count("cuStreamWaitEvent") == 9)
    #expect(sandbox.count("ncclCommDestroy") == 3)
  }

  @Test func theWayIsSaidWithItsReason() throws {
    let sandbox = try CUDASandbox("cards=2", names: Self.names)
    let shared = "ranks 1 and 2 share a card, which NCCL refuses"
    for way in try ways(sandbox, cards: [0, 1, 1]) {
      #expect(way == "MPI and memory of the hosts; " + shared)
    }
    let on = try ways(sandbox, cards: [0, 1, 1], ["LM_NCCL": "on"])
    #expect(on[0] == "LM_NCCL is on, but " + shared)
    #expect(on[1] == "rank 0 failed: " + on[0])
    #expect(try ways(sandbox, cards: [0, 1], ["LM_NCCL": "off"])[1].hasSuffix("; LM_NCCL is off"))
    #expect(
      try ways(sandbox, cards: [0, 1], ["LM_NCCL": "yes"])[0]
        == "LM_NCCL is \"yes\", expected auto, on or off")
    sandbox.tell("nccl=2708")
    let old = try ways(sandbox, cards: [0, 1])[0]
    #expect(old.contains("version number 2708, expected 21300 (2.13) or later"), "\(old)")
    let none = try ways(CUDASandbox("cards=2"), cards: [0, 1])[1]
    #expect(none.contains("; libnccl.so.2 is not in ") && none.contains("setup.sh --nccl"))
  }

  /// What fails in the library ends the exchange with its own words, and every one after it.
  @Test(arguments: [
    ("ncclGetUniqueId=2", "making an id for all ranks (2, as told)"),
    ("ncclCommInitRank=1", "meeting the other ranks (1, as told)"),
    ("ncclGroupStart=3", "beginning an exchange (3, as told)"),
    ("ncclRecv=4", "asking for an exchange (4, as told)"),
    ("ncclGroupEnd=6", "exchanging (6, remote process exited or there was a network error)"),
    ("ncclCommGetAsyncError=2", "exchanging (2, as told)"),
  ]) func faultsAreSentences(instruction: String, sentence: String) throws {
    let sandbox = try CUDASandbox("cards=1", names: Self.names)
    sandbox.tell(instruction)
    let way = try ways(sandbox, cards: [0])[0]
    #expect(way.hasPrefix("NCCL 2.27.3 failed while " + sentence), "\(way)")
    #expect(!way.contains("\n"))
    #expect(sandbox.count("ncclGroupStart") - sandbox.count("ncclGroupEnd") <= 1)
  }

  /// A fault of the card is told as one, whatever NCCL says of it.
  @Test func aLostCardIsCalledSo() throws {
    let sandbox = try CUDASandbox("cards=1", names: Self.names)
    let driver = try sandbox.driver()
    let kernels = GPUKernels(driver)
    let found = try CardLink(driver, .float32, SingleProcess(), environment: [:])
    let link = try #require(found.link)
    let x = try kernels.makeView(rows: 1, columns: 8)
    sandbox.tell("cuStreamQuery=999")
    for expected in ["device cuda: the card is lost (CUDA_ERROR_999", "NCCL has failed before"] {
      do {
        try link.exchange(x, [0..<4], into: x, [4..<8]) { false }
        Issue.record("nothing was thrown")
      } catch {
        #expect("\(error)".hasPrefix(expected), "\(error)")
      }
    }
    #expect(sandbox.count("ncclCommAbort") == 1)
  }
}
