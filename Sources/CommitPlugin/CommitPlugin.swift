import Foundation
import PackagePlugin

/// Writes the commit that is built into a source file before every build.
///
/// The manifest has it too (`Context.gitInformation`), but SwiftPM keeps what a manifest has said until its
/// text changes, so that an incremental build would carry the commit of an earlier one.
@main struct CommitPlugin: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let package = context.package.directoryURL
    let output = context.pluginWorkDirectoryURL
    return [
      .prebuildCommand(
        displayName: "Looking up the commit",
        executable: URL(fileURLWithPath: "/bin/sh"),
        arguments: [
          package.appending(path: "scripts/parts/commit.sh").path, package.path, output.path,
        ],
        outputFilesDirectory: output)
    ]
  }
}
