/// What this program was built from.
package enum Program {
  /// Changes when the meaning of a file or an option does.
  package static let version = "1.0"

  /// The commit, 40 hexadecimal digits, with `+changes` behind it where files of the work tree were changed
  /// or added; `unknown` where there was no repository.
  @inline(never) package static var commit: String { builtCommit }

  /// The commit as people quote it.
  package static var shortCommit: String {
    let isChanged = commit.hasSuffix("+changes")
    return commit == "unknown"
      ? "of an unknown commit" : "commit \(commit.prefix(10))\(isChanged ? " with changes" : "")"
  }

  /// How it was compiled.
  package static var build: String {
    #if DEBUG
      return "debug"
    #else
      return "release"
    #endif
  }

  /// The vectors that kernels are compiled for.
  package static var vectors: String {
    #if arch(x86_64)
      return "x86-64-v3 (AVX2, FMA)"
    #elseif arch(arm64)
      return "arm64 (NEON)"
    #else
      return "those of the compiler's default"
    #endif
  }

  /// The compiler.
  package static var compiler: String {
    #if compiler(>=6.4)
      return "Swift 6.4 or newer"
    #elseif compiler(>=6.3)
      return "Swift 6.3"
    #elseif compiler(>=6.2)
      return "Swift 6.2"
    #else
      return "Swift before 6.2"
    #endif
  }
}
