/// The processes that train one model together, each a rank.
///
/// Every rank calls the same functions in the same order; a call returns when all have made it. What
/// may fail on one rank is done in ``together(_:)``, so that it fails on all.
package protocol Communicator: Sendable {
  /// Number of this process, from 0.
  var rank: Int { get }
  /// How many there are.
  var size: Int { get }

  /// Sends a part of memory to every rank and takes one from every rank, its own copied.
  ///
  /// What is received may lie in the memory that is sent, in places that are not sent.
  ///
  /// - Parameters:
  ///   - outgoing: What each rank gets.
  ///   - incoming: Where that of each rank goes, as long as it is.
  func exchange(_ outgoing: Outgoing, into incoming: Incoming) throws(CommunicationError)

  /// Several exchanges, of which a later one need not wait for an earlier one.
  func exchange(_ all: [(outgoing: Outgoing, incoming: Incoming)]) throws(CommunicationError)

  /// The same as one beside a thread that computes, to which the processor is left while there is nothing to do.
  ///
  /// - Parameters:
  ///   - outgoing: What each rank gets.
  ///   - incoming: Where that of each rank goes.
  ///   - isShared: Whether the other thread still computes; asked again and again.
  func exchange(
    _ outgoing: Outgoing, into incoming: Incoming, isShared: () -> Bool
  ) throws(CommunicationError)

  /// Runs `body`, which waits for other ranks in a way of its own, under the limit of time of an exchange.
  func waiting<Result>(_ body: () throws -> Result) throws -> Result
}

extension Communicator {
  package func waiting<Result>(_ body: () throws -> Result) throws -> Result { try body() }

  package func exchange(
    _ outgoing: Outgoing, into incoming: Incoming, isShared: () -> Bool
  ) throws(CommunicationError) {
    try exchange(outgoing, into: incoming)
  }

  package func exchange(
    _ all: [(outgoing: Outgoing, incoming: Incoming)]
  ) throws(CommunicationError) {
    for (outgoing, incoming) in all { try exchange(outgoing, into: incoming) }
  }
}

/// Memory of which every rank gets a part.
package struct Outgoing {
  package let base: UnsafeRawPointer
  /// The bytes for each rank, by rank.
  package let parts: [Range<Int>]

  package init(_ base: UnsafeRawPointer, _ parts: [Range<Int>]) {
    self.base = base
    self.parts = parts
  }
}

/// Memory of which every rank fills a part.
package struct Incoming {
  package let base: UnsafeMutableRawPointer
  /// The bytes from each rank, by rank.
  package let parts: [Range<Int>]

  package init(_ base: UnsafeMutableRawPointer, _ parts: [Range<Int>]) {
    self.base = base
    self.parts = parts
  }
}

/// Why ranks cannot go on together.
package enum CommunicationError: Error, Equatable, CustomStringConvertible {
  /// Another rank has failed.
  case failed(rank: Int, reason: String)
  /// What was to carry the bytes cannot.
  case unusable(String)

  package var description: String {
    switch self {
    case .failed(let rank, let reason): "rank \(rank) failed: \(reason)"
    case .unusable(let problem): problem
    }
  }
}

extension Communicator {
  /// Whether this rank writes files, reports, and decides what only one can decide.
  package var isRoot: Bool { rank == 0 }

  /// The bytes of every rank, by rank.
  package func gather(_ bytes: [UInt8]) throws(CommunicationError) -> [[UInt8]] {
    if size == 1 { return [bytes] }
    return try gather(bytes, counts: try gather(counts: bytes.count))
  }

  /// A number of every rank, by rank.
  private func gather(counts own: Int) throws(CommunicationError) -> [Int] {
    let bytes = withUnsafeBytes(of: Int64(own).littleEndian) { Array($0) }
    return try gather(bytes, counts: Array(repeating: 8, count: size)).map { bytes in
      Int(bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) })
    }
  }

  /// The bytes of every rank, so many of each.
  private func gather(
    _ bytes: [UInt8], counts: [Int]
  ) throws(CommunicationError) -> [[UInt8]] {
    var ends = [0]
    for count in counts { ends.append(ends[ends.count - 1] + count) }
    let places = zip(ends, ends.dropFirst()).map { $0..<$1 }
    let own = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
    defer { own.deallocate() }
    own.copyBytes(from: bytes)
    let all = UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(1, ends[counts.count]), alignment: 16)
    defer { all.deallocate() }
    guard let sent = own.baseAddress, let received = all.baseAddress else { return [] }
    try exchange(
      Outgoing(sent, Array(repeating: 0..<bytes.count, count: size)),
      into: Incoming(received, places))
    return places.map { Array(all[$0]) }
  }

  /// The numbers of every rank, by rank.
  ///
  /// - Parameters:
  ///   - numbers: Those of this rank.
  ///   - counts: How many every rank has, where that is known.
  package func gather(
    _ numbers: [Double], counts: [Int]? = nil
  ) throws(CommunicationError) -> [[Double]] {
    if size == 1 { return [numbers] }
    let bytes = numbers.flatMap { number in
      withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
    }
    let all =
      if let counts { try gather(bytes, counts: counts.map { 8 * $0 }) } else { try gather(bytes) }
    return all.map { bytes in
      stride(from: 0, to: bytes.count, by: 8).map { first in
        Double(
          bitPattern: bytes.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: first, as: UInt64.self))
          })
      }
    }
  }

  /// What rank 0 says.
  package func broadcast(_ number: Int) throws(CommunicationError) -> Int {
    size == 1 ? number : try gather(counts: number)[0]
  }

  /// The largest number of any rank.
  package func maximum(_ number: Int) throws(CommunicationError) -> Int {
    size == 1 ? number : try gather(counts: number).reduce(number, max)
  }

  /// Whether any rank says so.
  package func any(_ flags: [Bool]) throws(CommunicationError) -> [Bool] {
    if size == 1 { return flags }
    let all = try gather(
      flags.map { UInt8($0 ? 1 : 0) }, counts: Array(repeating: flags.count, count: size))
    return flags.indices.map { flag in all.contains { said in said[flag] == 1 } }
  }

  /// Runs `body`, and throws on every rank if it threw on any.
  ///
  /// The first rank that has failed throws its error; the others say which rank it was.
  package func together<Result>(_ body: () throws -> Result) throws -> Result {
    if size == 1 { return try body() }
    let outcome = Swift.Result(catching: body)
    var problem: [UInt8] = []
    if case .failure(let error) = outcome { problem = Array("\(error)".utf8) + [0] }
    let counts = try gather(counts: problem.count)
    guard counts.contains(where: { $0 > 0 }) else { return try outcome.get() }
    let problems = try gather(problem, counts: counts)
    if let failed = problems.firstIndex(where: { !$0.isEmpty }), failed != rank {
      throw CommunicationError.failed(
        rank: failed, reason: String(decoding: problems[failed].dropLast(), as: UTF8.self))
    }
    return try outcome.get()
  }

  /// Runs `body` on rank 0 while the others wait; throws on all if it throws.
  package func onRoot(_ body: () throws -> Void) throws {
    try together { if isRoot { try body() } }
  }
}

/// A process by itself.
package struct SingleProcess: Communicator {
  package init() {}

  package var rank: Int { 0 }
  package var size: Int { 1 }

  package func exchange(_ outgoing: Outgoing, into incoming: Incoming) {
    (incoming.base + incoming.parts[0].lowerBound).copyMemory(
      from: outgoing.base + outgoing.parts[0].lowerBound, byteCount: outgoing.parts[0].count)
  }
}
