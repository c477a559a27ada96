import Foundation

/// A line of a log that carries a checksum of its own.
///
/// The last key of the object is `sum`: the first 16 hexadecimal digits of the SHA-256 of the line up
/// to the comma before that key. So every line can be checked by itself, and a log grows by one write.
package enum SummedLine {
  private static let lead = Array(",\"sum\":\"".utf8)
  private static let tail = Array("\"}".utf8)
  private static let digits = 16

  package enum Check: Sendable, Equatable {
    case holds, broken
    /// Written by a version that had none, or its key is damaged.
    case missing
  }

  /// `{"a":1}` with its sum as a last key.
  package static func adding(to object: some Collection<UInt8>) -> [UInt8] {
    let content = Array(object.dropLast())
    return content + lead + SHA256.hexDigest(of: content).utf8.prefix(digits) + tail
  }

  package static func check(_ line: ArraySlice<UInt8>) -> Check {
    let count = lead.count + digits + tail.count
    let suffix = line.suffix(count)
    guard suffix.count == count, suffix.starts(with: lead), suffix.suffix(tail.count) == tail[...]
    else { return .missing }
    let expected = SHA256.hexDigest(of: Array(line.dropLast(count))).utf8.prefix(digits)
    return suffix.dropFirst(lead.count).prefix(digits).elementsEqual(expected) ? .holds : .broken
  }
}

/// A line of a log that is not what was written.
package struct LogDamage: Error, Sendable, Equatable, CustomStringConvertible {
  package let path: String
  /// From 1.
  package let line: Int
  package let problem: String
  let bytes: [UInt8]

  package var description: String { "\(path), line \(line) is damaged: \(problem)" }
}

/// The lines of a log that are whole, and those that are not.
///
/// All lines of a log have sums, or none has: a log of the version before gets sums when it is next
/// opened for writing. So a line without one beside others, or in a run that has sums, is damaged.
package struct SummedLog<Entry: Decodable> {
  package private(set) var entries: [(line: ArraySlice<UInt8>, entry: Entry)] = []
  package private(set) var damages: [LogDamage] = []
  /// Whether its lines have sums; false for one of the version before and for one without lines.
  package private(set) var hasSums = false
  private let path: String
  private let decoder = EarlierKeys.decoder()

  /// Reads a log; one that is not there has no lines.
  ///
  /// - Parameters:
  ///   - path: The log.
  ///   - requiresSums: Whether the folder says that every line has a sum.
  ///   - isAppended: Whether it grows line by line, so that a crash may cut the last line short, which
  ///     is no damage.
  package init(path: String, requiresSums: Bool, isAppended: Bool) throws(StorageError) {
    self.path = path
    guard Files.exists(path) else { return }
    var lines = try Files.contents(of: path).split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let open = lines.popLast() ?? []
    let checks = lines.map { SummedLine.check($0) }
    hasSums = (checks + [SummedLine.check(open)]).contains { $0 != .missing }
    for (index, (line, check)) in zip(lines, checks).enumerated() where !line.isEmpty {
      append(line, check, number: index + 1, requiresSums: requiresSums)
    }
    guard !open.isEmpty else { return }
    // A line that lacks nothing but its end is whole; one with a byte in the place of its end is
    // not the work of a crash.
    let isCut =
      isAppended && SummedLine.check(open) != .holds && !Self.isObject(open.dropLast())
    if !isCut {
      append(open, SummedLine.check(open), number: lines.count + 1, requiresSums: requiresSums)
    }
  }

  private static func isObject(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.last == UInt8(ascii: "}")
      && (try? JSONSerialization.jsonObject(with: Data(bytes))) is [String: Any]
  }

  private mutating func append(
    _ line: ArraySlice<UInt8>, _ check: SummedLine.Check, number: Int, requiresSums: Bool
  ) {
    func damage(_ problem: String) {
      damages.append(LogDamage(path: path, line: number, problem: problem, bytes: Array(line)))
    }
    switch check {
    case .broken: return damage("its sum does not hold")
    case .missing where hasSums || requiresSums:
      return damage("it has no sum, and the lines of this file have one each")
    case .missing, .holds: break
    }
    do {
      entries.append((line, try decoder.decode(Entry.self, from: Data(line))))
    } catch {
      damage("it is not the JSON expected here")
    }
  }

  /// The bytes of the whole lines that are wanted, each with its sum.
  package func summed(where isWanted: (Entry) -> Bool = { _ in true }) -> [UInt8] {
    var bytes: [UInt8] = []
    for (line, entry) in entries where isWanted(entry) {
      bytes += SummedLine.check(line) == .holds ? Array(line) : SummedLine.adding(to: line)
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }

  /// Keeps the damaged lines beside the log, which is about to be written without them.
  ///
  /// - Returns: What a user is to be told, a sentence each.
  package func setAside() throws(StorageError) -> [String] {
    guard !damages.isEmpty else { return [] }
    let target = path + SummedLogs.damagedSuffix
    if !Files.exists(target) { try AtomicFile.write([], to: target) }
    let file = try FileAppender(path: target)
    for damage in damages { try file.append(damage.bytes + [UInt8(ascii: "\n")]) }
    try file.flush()
    return damages.map { "\($0); it is in \(target) now" }
  }

  /// A line for an entry, without the newline.
  package static func line(_ entry: Entry, path: String) throws(StorageError) -> [UInt8]
  where Entry: Encodable {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return SummedLine.adding(to: [UInt8](try encoder.encode(entry)))
    } catch {
      throw .unencodable(path: path, reason: "\(error)")
    }
  }
}

/// What all logs have in common.
package enum SummedLogs {
  /// Ends the name of the file that keeps the damaged lines of a log.
  package static let damagedSuffix = ".damaged"
}
