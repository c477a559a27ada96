import Foundation
import LMData
import Storage

/// The place of a data set to be made: what stands there, and whether it may be replaced.
///
/// Only a data set is ever replaced, that is a folder in which nothing stands but its manifest and the
/// files that the manifest names; and none that holds something which is being read.
struct OutputFolder {
  let path: String

  /// Text, tokenizer and list of words, as the user named them.
  let inputs: [String]

  /// Whether a data set may be replaced.
  let overwrite: Bool

  /// Throws if the place is not free, or holds what may not be replaced.
  func check() throws(TokenizerError) {
    let name = Files.name(of: path)
    if ["", ".", "..", "/"].contains(name) {
      throw .options(
        "--output \"\(path)\" has no name of its own; give the name of the folder to create")
    }
    if let link = PathTrail.link(path) {
      throw .options(
        "\(path) is a symbolic link to \(link); give the folder itself as --output, or another name"
      )
    }
    try refuseParents()
    guard Files.exists(path) else { return }
    guard Files.isDirectory(path) else {
      throw .options("\(path) is no folder; choose another --output")
    }
    try refuseFoldersInUse()
    if try entries(path).isEmpty { return }
    _ = try names(in: path)
    if !overwrite {
      throw .options(
        "\(path) exists already and holds a data set; choose another --output, or replace it with "
          + "--overwrite")
    }
  }

  /// The names of all that stands in a folder that may be removed.
  ///
  /// - Parameter folder: Where the folder is now: it may have been moved aside.
  /// - Throws: If it is not a data set or holds anything else, or something that is being read.
  func names(in folder: String) throws(TokenizerError) -> [String] {
    let present = try entries(folder)
    let manifest: Manifest
    do {
      manifest = try JSONFile.read(Manifest.self, from: folder + "/" + Manifest.fileName)
    } catch {
      throw refusal(
        present.contains(Manifest.fileName)
          ? "its \(Manifest.fileName) is not that of a data set"
          : "it is not a data set, as it has no \(Manifest.fileName)")
    }
    let files =
      [Manifest.fileName, SumsFile.name, manifest.tokenizer.file]
      + (manifest.vocabulary.map { [$0.file] } ?? [])
      + manifest.splits.values.joined().map(\.file)
    let known = Set(files)
    for name in present {
      guard known.contains(name) || AtomicFile.isLeftover(name, of: known) else {
        throw refusal("it holds \(name), which its \(Manifest.fileName) does not name")
      }
      guard Files.isRegularFile(folder + "/" + name) else {
        throw refusal("its \(name) is not a regular file")
      }
    }
    try refuseInputs(among: present, in: folder)
    return present
  }

  /// Throws if what is read is one of the files, by whatever name.
  private func refuseInputs(
    among names: [String], in folder: String
  ) throws(TokenizerError) {
    var read: [Files.Identity: String] = [:]
    for input in inputs {
      if let identity = try? Files.identity(of: input) { read[identity] = input }
    }
    for name in names {
      if let identity = try? Files.identity(of: folder + "/" + name), let input = read[identity] {
        throw refusal("its \(name) is \(input), which is read")
      }
    }
  }

  /// Throws if the folder, a data set or not, holds what is read or the folder of the work.
  private func refuseFoldersInUse() throws(TokenizerError) {
    let identity: Files.Identity
    do { identity = try Files.identity(of: path) } catch { throw .storage(error) }
    if PathTrail.identities(to: ".").contains(identity) {
      throw refusal("it is the folder that lm-tokenize runs in, or one above it")
    }
    for input in inputs where PathTrail.identities(to: input).contains(identity) {
      throw refusal("it holds \(input), which is read")
    }
  }

  /// Throws if the folder would be made inside of a data set, a run or a checkpoint: what counts their
  /// files would no longer know them.
  private func refuseParents() throws(TokenizerError) {
    var folder = Files.parent(of: path)
    while !Files.isDirectory(folder) && folder != "/" && folder != "." {
      folder = Files.parent(of: folder)
    }
    guard let resolved = realpath(folder, nil) else { return }
    folder = String(cString: resolved)
    free(resolved)
    while true {
      if let kind = Self.kind(of: folder) {
        throw .options("\(path) would be inside of \(folder), \(kind); choose another --output")
      }
      if folder == "/" { return }
      folder = Files.parent(of: folder)
    }
  }

  /// What a folder is, if it is one of those that the other programs write.
  private static func kind(of folder: String) -> String? {
    func has(_ name: String) -> Bool { Files.exists(folder + "/" + name) }
    if has(Manifest.fileName),
      (try? JSONFile.read(Manifest.self, from: folder + "/" + Manifest.fileName)) != nil
    {
      return "a data set"
    }
    if has("config.json") && (has("latest") || has("metrics.jsonl")) { return "a training run" }
    if has("model.safetensors") && has("state.json") { return "a checkpoint" }
    return nil
  }

  private func refusal(_ reason: String) -> TokenizerError {
    .options("\(path) exists already and cannot be replaced: \(reason); choose another --output")
  }

  private func entries(_ folder: String) throws(TokenizerError) -> [String] {
    do { return try Files.entries(of: folder) } catch { throw .storage(error) }
  }
}
