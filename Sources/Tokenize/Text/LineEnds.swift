/// What ends a line of a text.
package enum LineEnds: String, Sendable, CaseIterable {
  /// A newline alone; a carriage return is text.
  case newline
  /// A newline, a carriage return and newline, or a carriage return, as Unix, Windows and old Macs
  /// write.
  case any
}
