import Foundation

/// Files that are seen whole or not at all, whenever the power fails.
package enum AtomicFile {
  /// Where a file may be written until it is complete: beside its target, known by its name.
  package static func temporaryPath(besides path: String) -> String {
    Leftover.sibling(of: path, .partial)
  }

  /// Writes a file beside its target, flushes it, and puts it in the place of the target.
  ///
  /// - Parameters:
  ///   - bytes: The contents.
  ///   - path: The target.
  ///   - flushes: Whether to wait for the disk; without it, a machine that loses its power may leave a
  ///     file that is not whole.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to path: String, flushes: Bool = true
  ) throws(StorageError) {
    let temporary = Leftover.sibling(of: path, .partial)
    Unfinished.begin(temporary, target: path)
    defer { Unfinished.end(temporary) }
    do {
      let writer = try FileWriter(path: temporary)
      try writer.append(bytes)
      try writer.finish(flushes: flushes)
      try Files.rename(temporary, to: path)
    } catch {
      // The first error says what went wrong; failing to tidy up would hide it.
      unlink(temporary)
      throw error
    }
  }

  /// Writes a file beside its target, flushes it, and puts it in the place of the target.
  ///
  /// - Parameters:
  ///   - bytes: The contents.
  ///   - path: The target.
  ///   - flushes: As above.
  package static func write(
    _ bytes: [UInt8], to path: String, flushes: Bool = true
  ) throws(StorageError) {
    try bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in
      try write(bytes, to: path, flushes: flushes)
    }
  }

  /// Writes a file part by part beside its target, flushes it, and puts it in the place of the target.
  ///
  /// - Parameters:
  ///   - path: The target.
  ///   - fill: Appends the contents.
  package static func write(to path: String, _ fill: (FileWriter) throws -> Void) throws {
    let temporary = Leftover.sibling(of: path, .partial)
    Unfinished.begin(temporary, target: path)
    defer { Unfinished.end(temporary) }
    do {
      let writer = try FileWriter(path: temporary)
      try fill(writer)
      try writer.finish()
      try Files.rename(temporary, to: path)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  /// Whether a name is one that `write` gives to what is not yet one of these files.
  package static func isLeftover(_ name: String, of files: Set<String>) -> Bool {
    Leftover(name: name).map { $0.kind == .partial && files.contains($0.target) } ?? false
  }
}
