import Foundation
import Tensor

/// Where NVIDIA's libraries are looked for when a run asks for a card.
package struct LibrarySearch: Sendable {
  /// Names folders, separated by colons, that come before all others.
  package static let variable = "LM_CUDA_LIBRARIES"

  /// Folders, in order; the linker's own path is asked after those of the variable.
  let named: [String]
  let others: [String]
  private let usesLinker: Bool

  /// What a user has: the variable, the linker's path, the project's own folder, the active Python
  /// environment, toolkits, Python packages of the system.
  ///
  /// - Parameters:
  ///   - environment: Of the process.
  ///   - program: Path of the running program.
  package init(
    environment: [String: String] = ProcessInfo.processInfo.environment,
    program: String = "/proc/self/exe"
  ) {
    named = (environment[Self.variable] ?? "").split(separator: ":").map(String.init)
    usesLinker = true
    let home = environment["HOME"] ?? ""
    let packages = "python3*/site-packages/nvidia/*/lib"
    var patterns = Self.ownFolders(program: program)
    for prefix in ["VIRTUAL_ENV", "CONDA_PREFIX"].compactMap({ environment[$0] }) {
      patterns += [prefix + "/lib/" + packages, prefix + "/targets/*/lib", prefix + "/lib"]
    }
    patterns += ["/usr/local/cuda*/targets/*/lib", "/usr/local/cuda*/lib64"]
    patterns += ["/usr/local/nvidia/lib64", "/usr/lib/wsl/lib", "/usr/lib64"]
    for root in ["/usr/local/lib/", "/usr/lib/", home + "/.local/lib/"] {
      patterns += [root + packages, root + "python3*/dist-packages/nvidia/*/lib"]
    }
    others = patterns.flatMap(Self.files)
  }

  /// These folders alone.
  package init(only folders: [String]) {
    named = folders
    others = []
    usesLinker = false
  }

  /// What `scripts/setup.sh --cuda` makes: `.cuda` beside the sources that the program was built from, or
  /// beside its `bin`; folders further up may be anybody's.
  private static func ownFolders(program: String) -> [String] {
    var places = [
      URL(fileURLWithPath: program).resolvingSymlinksInPath().deletingLastPathComponent()
    ]
    while let last = places.last, last.path != "/" {
      places.append(last.deletingLastPathComponent())
    }
    let root = places.first { access($0.path + "/Package.swift", F_OK) == 0 }
    return (places.prefix(2) + [root].compactMap { $0 }).map { $0.path + "/.cuda" }
  }

  /// Files or folders of a pattern, newest version first.
  fileprivate static func files(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
      .sorted { $0.compare($1, options: .numeric) == .orderedDescending }
  }

  /// Opens the first library that has one of the names.
  ///
  /// - Parameters:
  ///   - names: File names, the one that is wanted most first.
  ///   - remedy: What to do if there is none, as a clause.
  func open(_ names: [String], remedy: String) throws(DeviceError) -> OpenLibrary {
    var faults: [String] = []
    func attempt(_ path: String) -> OpenLibrary? {
      if let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) {
        return OpenLibrary(handle: handle, path: path)
      }
      // That there is no such file is no news; one that cannot be opened is.
      let fault = dlerror().map { String(cString: $0) } ?? path
      if path.contains("/") || !fault.contains("No such file") { faults.append(fault) }
      return nil
    }
    func attempt(in folders: [String]) -> OpenLibrary? {
      for folder in folders {
        for name in names where access(folder + "/" + name, F_OK) == 0 {
          if let library = attempt(folder + "/" + name) { return library }
        }
      }
      return nil
    }
    if let library = attempt(in: named) { return library }
    if usesLinker {
      for name in names { if let library = attempt(name) { return library } }
    }
    if let library = attempt(in: others) { return library }
    let wanted = names.joined(separator: " or ")
    if !faults.isEmpty {
      throw .failed(
        device: "cuda",
        problem: "\(wanted) cannot be opened (\(faults.joined(separator: "; "))); \(remedy)")
    }
    throw .failed(device: "cuda", problem: "\(wanted) is not \(places); \(remedy)")
  }

  /// All folders, in the order in which they are tried.
  package var folders: [String] { named + others }

  /// Where was looked, for a sentence.
  private var places: String {
    if !usesLinker { return "in \(named.joined(separator: ", "))" }
    let first = named.isEmpty ? "" : "in \(named.joined(separator: ", ")) (\(Self.variable)), "
    return first
      + "on the linker's path, in the .cuda folder of this project, in the active Python "
      + "environment, in /usr/local/cuda*, or in Python packages of the system"
  }
}

/// A library that is open until the process ends: what it was asked for may run at any time.
struct OpenLibrary: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  let path: String

  /// Opens what the library itself opens later, by name alone, and would look for on the linker's path
  /// instead of in its own folder.
  func openCompanions(_ pattern: String) {
    guard let slash = path.lastIndex(of: "/") else { return }
    for companion in LibrarySearch.files(String(path[...slash]) + pattern) {
      _ = dlopen(companion, RTLD_NOW | RTLD_GLOBAL)
    }
  }
}
