// Monaco's workers in one file. They share most of their code; a worker's name says which it is.
// require, as each sets the handler of the worker that it runs in.
switch (self.name) {
  case 'graphql':
    require('monaco-graphql/esm/graphql.worker.js');
    break;
  case 'json':
    require('monaco-editor/esm/vs/language/json/json.worker.js');
    break;
  default:
    require('monaco-editor/esm/vs/editor/editor.worker.js');
}
