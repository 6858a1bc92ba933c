// Builds the playground into internal/web/playground: every file gzipped, and all but index.html and licenses.txt
// named by their content. The same lockfile gives the same bytes on every machine and in every directory: the
// compressor is JavaScript too, as zlib's output differs between processors.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import pako from 'pako';

const root = dirname(fileURLToPath(import.meta.url));
const target = join(root, '..', 'internal', 'web', 'playground');
const limit = 4 * 1024 * 1024; // bytes, compressed, of all files

const files = new Map(); // name → uncompressed bytes
const inputs = new Set(); // what was bundled

// add keeps a file under a name with its content's hash, and returns the path that it is served at.
function add(name, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const hashed = name.replace('.', `-${hash}.`);
  files.set(hashed, Buffer.from(bytes));
  return `/playground/${hashed}`;
}

async function bundle(entry, define = {}) {
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: 'out',
    write: false,
    metafile: true,
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    jsx: 'automatic',
    legalComments: 'none', // licenses.txt has them all
    loader: { '.ttf': 'dataurl', '.woff2': 'dataurl' },
    define: { 'process.env.NODE_ENV': '"production"', ...define },
    alias: { 'prettier/plugins/estree': './src/jsonc.js', 'prettier/parser-babel': './src/jsonc.js' },
    plugins: [
      {
        name: 'our choice of Monaco',
        setup(build) {
          build.onLoad({ filter: /monaco-graphql[\\/]esm[\\/]monaco-editor\.js$/ }, () => ({
            contents: `export * from './src/monaco.js'`,
            resolveDir: root,
          }));
        },
      },
    ],
  });
  if (result.warnings.length > 0) throw new Error(`bundling ${entry}: ${result.warnings.length} warnings`);
  for (const input of Object.keys(result.metafile.inputs)) inputs.add(input);
  return (extension) => result.outputFiles.find(({ path }) => path.endsWith(extension)).contents;
}

// licenses returns the license of every package that something was bundled from, in order of their names.
function licenses() {
  const packages = new Map();
  for (const input of inputs) {
    const [directory] = /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input) ?? [];
    if (!directory) continue;
    const { name, version, license } = JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8'));
    const texts = readdirSync(join(root, directory))
      .filter((file) => /^(licen[cs]e|thirdpartynotices)/i.test(file))
      .sort()
      .map((file) => readFileSync(join(root, directory, file), 'utf8').trim());
    packages.set(`${name} ${version}`, [license ?? '', ...texts].join('\n\n'));
  }
  return [...packages]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => `${name}\n${text}\n`)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

const worker = await bundle('src/worker.js');
const mark = add('mark.svg', readFileSync(join(root, 'src/mark.svg')));
const app = await bundle('src/main.jsx', {
  WORKER: JSON.stringify(add('worker.js', worker('.js'))),
  MARK: JSON.stringify(mark),
});
const paths = { mark, js: add('app.js', app('.js')), css: add('app.css', app('.css')) };
const page = readFileSync(join(root, 'index.html'), 'utf8').replace(/\{(\w+)\}/g, (_, name) => paths[name]);
files.set('index.html', Buffer.from(page));
files.set('licenses.txt', Buffer.from(licenses()));

if (existsSync(target)) rmSync(target, { recursive: true });
mkdirSync(target, { recursive: true });
let total = 0;
for (const [name, bytes] of [...files].sort()) {
  const compressed = pako.gzip(bytes, { level: 9 });
  writeFileSync(join(target, `${name}.gz`), compressed);
  total += compressed.length;
  console.log(`${String(bytes.length).padStart(9)} ${String(compressed.length).padStart(9)}  ${name}`);
}
console.log(`${String(total).padStart(19)}  bytes compressed, of at most ${limit}`);
if (total > limit) throw new Error('the playground is too large');
