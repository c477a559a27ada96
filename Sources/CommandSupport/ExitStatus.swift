/// The exit codes of all commands.
package enum ExitStatus {
  /// A section of the help and of the manual page.
  package static let help = """


    EXIT STATUS

      0      done
      1      failed: one sentence on standard error says why
      2      an option that is missing, unknown or has a value that cannot be
      128+N  ended by signal N: 130 after Ctrl-C, 143 after SIGTERM
    """
}
