import Foundation
package import LMData
import Storage

/// Puts the parts of a corpus together: the same bytes as if one process had made the data set.
package struct DataSetJoin: Sendable {
  /// Folders of the parts, in any order.
  package var parts: [String]
  package var output: String
  /// Whether a data set that has the name of the output is replaced, once the new one is complete.
  package var overwrite = false

  /// Whether shards that only get a new name are read once more, to compare them with their sums.
  ///
  /// Copies are compared always, and so is every shard by whoever reads it later. Parts that the same
  /// job has just written need not be.
  package var comparesSums = true

  package init(parts: [String], output: String) {
    self.parts = parts
    self.output = output
  }

  /// Makes the data set; the output folder appears complete or not at all, and the parts stay.
  ///
  /// Shards are the same files under new names where the disk can do that, else copies.
  ///
  /// - Parameter progress: Called with the bytes of every shard once it has been compared with its sum.
  package func run(progress: (Int) -> Void = { _ in }) throws(TokenizerError) -> Manifest {
    do {
      let sets = try ordered()
      let place = OutputFolder(path: output, inputs: parts, overwrite: overwrite)
      let lock = try FileLock(
        of: output, at: "\(Files.parent(of: output))/.\(Files.name(of: output)).lock")
      defer { lock.release() }
      try AtomicDirectory.removeAbandoned(besides: output)
      try place.check()
      let directory = try AtomicDirectory(target: output)
      var manifest = sets[0].manifest
      manifest.part = nil
      manifest.splits = [:]
      for set in sets {
        for (split, shards) in set.manifest.splits {
          for shard in shards {
            let number = manifest.splits[split]?.count ?? 0
            let info = try take(
              shard, as: ShardInfo.fileName(split: split, number: number), of: set.directory,
              into: directory.path)
            manifest.splits[split, default: []].append(info)
            progress(info.compressedBytes)
          }
        }
      }
      for name in [manifest.tokenizer.file] + (manifest.vocabulary.map { [$0.file] } ?? []) {
        let bytes = try Files.contents(of: sets[0].directory + "/" + name)
        try AtomicFile.write(bytes, to: directory.path + "/" + name)
      }
      try manifest.write(to: directory.path)
      if overwrite {
        _ = try directory.commit(removing: { try place.names(in: $0) })
      } else {
        try directory.commit()
      }
      return manifest
    } catch let error as StorageError {
      throw .storage(error)
    } catch let error as TokenizerError {
      throw error
    } catch {
      throw .options("\(error)")
    }
  }

  /// The parts in their order, all of them and of one corpus.
  private func ordered() throws -> [DataSet] {
    var sets: [DataSet?] = []
    for path in parts {
      let set = try DataSet(directory: path)
      guard let part = set.manifest.part else {
        throw TokenizerError.options("\(path) is no part; make it with --part")
      }
      if sets.isEmpty { sets = Array(repeating: nil, count: part.of) }
      guard part.of == sets.count, (1...part.of).contains(part.number) else {
        throw TokenizerError.options(
          "\(path) is part \(part.number) of \(part.of), others are of \(sets.count)")
      }
      if let other = sets[part.number - 1] {
        throw TokenizerError.options(
          "\(path) and \(other.directory) are both part \(part.number) of \(part.of)")
      }
      sets[part.number - 1] = set
    }
    let found = sets.compactMap { $0 }
    if let missing = sets.firstIndex(where: { $0 == nil }) {
      throw TokenizerError.options("part \(missing + 1) of \(sets.count) is missing")
    }
    guard let first = found.first else { throw TokenizerError.options("there are no parts") }
    for other in found {
      let (one, two) = (first.manifest, other.manifest)
      guard one.tokenizer == two.tokenizer, one.special == two.special,
        one.vocabulary == two.vocabulary, one.lineEnds == two.lineEnds
      else {
        throw TokenizerError.options(
          "\(other.directory) was made with another tokenizer, list of words or end of lines than "
            + "\(first.directory)")
      }
    }
    return found
  }

  /// Gives a shard a name in another folder, and compares it with its sum.
  private func take(
    _ shard: ShardInfo, as name: String, of folder: String, into target: String
  ) throws -> ShardInfo {
    let (old, new) = (folder + "/" + shard.file, target + "/" + name)
    let isLinked = link(old, new) == 0
    // Another disk, or one without hard links.
    if !isLinked { try AtomicFile.write(try Files.contents(of: old), to: new) }
    guard try isLinked && !comparesSums || SHA256.hexDigest(ofFile: new) == shard.sha256 else {
      throw TokenizerError.options("\(old) is damaged: its SHA-256 is not that of its manifest")
    }
    var info = shard
    info.file = name
    return info
  }
}
