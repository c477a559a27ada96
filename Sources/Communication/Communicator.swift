/// The processes that train one model together, each a rank.
///
/// Every rank calls the same functions in the same order; a call returns when all have made it. What
/// may fail on one rank is done in ``together(_:)``, so that it fails on all.
package protocol Communicator: Sendable {
  /// Number of this process, from 0.
  var rank: Int { get }
  /// How many there are.
  var size: Int { get }

  /// Sends a piece to every rank and takes one from every rank, its own copied.
  ///
  /// - Parameters:
  ///   - outgoing: What each rank gets, by rank.
  ///   - incoming: Where the piece of each rank goes, by rank, as long as it is.
  func exchange(
    _ outgoing: [UnsafeRawBufferPointer], into incoming: [UnsafeMutableRawBufferPointer]
  ) throws(CommunicationError)
}

/// Why ranks cannot go on together.
package enum CommunicationError: Error, Equatable, CustomStringConvertible {
  /// Another rank has failed.
  case failed(rank: Int, reason: String)

  package var description: String {
    switch self {
    case .failed(let rank, let reason): "rank \(rank) failed: \(reason)"
    }
  }
}

extension Communicator {
  /// Whether this rank writes files, reports, and decides what only one can decide.
  package var isRoot: Bool { rank == 0 }

  /// The bytes of every rank, by rank.
  package func gather(_ bytes: [UInt8]) throws(CommunicationError) -> [[UInt8]] {
    if size == 1 { return [bytes] }
    let counts = try gather(counts: bytes.count)
    var all = counts.map { [UInt8](repeating: 0, count: $0) }
    try exchange(bytes, into: &all)
    return all
  }

  /// A number of every rank, by rank.
  private func gather(counts own: Int) throws(CommunicationError) -> [Int] {
    let bytes = withUnsafeBytes(of: Int64(own).littleEndian) { Array($0) }
    var all = [[UInt8]](repeating: [UInt8](repeating: 0, count: 8), count: size)
    try exchange(bytes, into: &all)
    return all.map { bytes in
      Int(bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) })
    }
  }

  /// Sends the same bytes to all and fills an array of the right length for each.
  private func exchange(
    _ bytes: [UInt8], into all: inout [[UInt8]]
  ) throws(CommunicationError) {
    let pieces = all.map {
      UnsafeMutableRawBufferPointer.allocate(byteCount: $0.count, alignment: 1)
    }
    defer { for piece in pieces { piece.deallocate() } }
    let own = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { own.deallocate() }
    own.copyBytes(from: bytes)
    try exchange(
      Array(repeating: UnsafeRawBufferPointer(own), count: size), into: pieces)
    for (index, piece) in pieces.enumerated() { all[index] = Array(piece) }
  }

  /// The numbers of every rank, by rank.
  package func gather(_ numbers: [Double]) throws(CommunicationError) -> [[Double]] {
    if size == 1 { return [numbers] }
    let bytes = numbers.flatMap { number in
      withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
    }
    return try gather(bytes).map { bytes in
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

  /// Whether any rank says so.
  package func any(_ flags: [Bool]) throws(CommunicationError) -> [Bool] {
    if size == 1 { return flags }
    let all: [[UInt8]] = try gather(flags.map { UInt8($0 ? 1 : 0) })
    return flags.indices.map { flag in all.contains { said in said[flag] == 1 } }
  }

  /// Runs `body`, and throws on every rank if it threw on any.
  ///
  /// The rank whose error it was throws that; the others say which rank it was.
  package func together<Result>(_ body: () throws -> Result) throws -> Result {
    if size == 1 { return try body() }
    let outcome = Swift.Result(catching: body)
    var problem: [UInt8] = []
    if case .failure(let error) = outcome { problem = Array("\(error)".utf8) + [0] }
    let problems = try gather(problem)
    if case .failure(let error) = outcome { throw error }
    if let failed = problems.firstIndex(where: { !$0.isEmpty }) {
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

  package func exchange(
    _ outgoing: [UnsafeRawBufferPointer], into incoming: [UnsafeMutableRawBufferPointer]
  ) {
    incoming[0].copyMemory(from: outgoing[0])
  }
}
