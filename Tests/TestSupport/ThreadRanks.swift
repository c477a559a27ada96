package import Communication
import Foundation

/// Ranks that are threads of one process.
///
/// `@unchecked Sendable`: everything is touched under the lock of `condition`, and what is copied from
/// another rank belongs to it until all have copied.
package final class ThreadRanks: @unchecked Sendable {
  package let size: Int
  private let condition = NSCondition()
  private var posted: [Int: Outgoing] = [:]
  private var finished = 0
  private var round = 0

  package init(_ size: Int) { self.size = size }

  /// Runs `body` on every rank and returns what each of them returned, by rank.
  package static func run<Result: Sendable>(
    _ size: Int, _ body: @escaping @Sendable (any Communicator) throws -> Result
  ) throws -> [Result] {
    let ranks = ThreadRanks(size)
    let outcomes = Outcomes<Result>()
    let threads = (0..<size).map { rank in
      Thread { outcomes.set(rank, Swift.Result { try body(Rank(ranks, rank)) }) }
    }
    for thread in threads {
      thread.stackSize = 8 << 20
      thread.start()
    }
    return try outcomes.wait(for: size)
  }

  /// One of them.
  private struct Rank: Communicator {
    let ranks: ThreadRanks
    let rank: Int
    var size: Int { ranks.size }

    init(_ ranks: ThreadRanks, _ rank: Int) {
      self.ranks = ranks
      self.rank = rank
    }

    func exchange(_ outgoing: Outgoing, into incoming: Incoming) {
      ranks.exchange(rank, outgoing, into: incoming)
    }
  }

  private func exchange(_ rank: Int, _ outgoing: Outgoing, into incoming: Incoming) {
    condition.lock()
    defer { condition.unlock() }
    let own = round
    posted[rank] = outgoing
    condition.broadcast()
    while posted.count < size { condition.wait() }
    for (other, sent) in posted {
      let (part, place) = (sent.parts[rank], incoming.parts[other])
      precondition(
        part.count == place.count,
        "rank \(other) sent \(part.count) bytes to \(rank), expected \(place.count)")
      let (from, to) = (sent.base + part.lowerBound, incoming.base + place.lowerBound)
      // What a rank sends to itself may lie where it is to be.
      if from != UnsafeRawPointer(to) { to.copyMemory(from: from, byteCount: part.count) }
    }
    finished += 1
    if finished == size {
      posted = [:]
      finished = 0
      round += 1
      condition.broadcast()
    }
    while round == own { condition.wait() }
  }
}

/// What the ranks returned, waited for.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private var values: [Int: Result<Value, any Error>] = [:]

  func set(_ rank: Int, _ value: Result<Value, any Error>) {
    condition.lock()
    values[rank] = value
    condition.broadcast()
    condition.unlock()
  }

  func wait(for count: Int) throws -> [Value] {
    condition.lock()
    while values.count < count { condition.wait() }
    let all = values
    condition.unlock()
    return try (0..<count).compactMap { try all[$0]?.get() }
  }
}
