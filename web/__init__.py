"""The page that ``fastnst ui`` serves, and the npm package. WebAssembly, which ``make web`` builds, is in no wheel."""
