// Runs declarative Jenkinsfiles without Jenkins: `groovy driver.groovy <folder>…`, one build for each folder.
//
// In: scenario.json of the folder, with `jenkinsfile`, `branch`, `change`, `tag`, `params`, `startedBy`, `answers` (who answers the
// approval, and how), `groups` (members of the groups of submitters), `sources` (the folder that a checkout copies), `path`. Out:
// events.jsonl there, a line for each thing that happened; the last is the result, or what is wrong with the file. `sh` really runs in a workspace of the agent, where earlier builds
// left something behind. What Jenkins refuses is refused here: steps outside of an agent, a choice that is none of the choices, an
// answer of somebody who is no submitter. Unknown steps and directives are errors. Groovy 2.4, as in Jenkins.

import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import java.nio.file.FileSystems
import org.codehaus.groovy.control.CompilerConfiguration

class Refused extends RuntimeException {
    String result
    Refused(String result, String message) { super(message); this.result = result }
}

/** What happens in one build. */
class Build {
    static Build current
    Map scenario
    File folder
    Map params = [:]
    Map globals = [:]
    List<Map> added = []
    String stage
    String agent
    boolean failed = false
    String result = 'SUCCESS'

    void event(Map what) { new File(folder, 'events.jsonl').append(JsonOutput.toJson([stage: stage] + what) + '\n', 'UTF-8') }

    File workspace() {
        if (!agent) { throw new IllegalStateException("${stage}: a step needs an agent, and none is held") }
        new File(folder, "agents/${agent}/workspace")
    }

    File file(String path) {
        def file = new File(workspace(), path).canonicalFile
        assert file.path.startsWith(workspace().canonicalPath)
        file
    }

    Map variables() {
        def all = [BRANCH_NAME: scenario.branch, BUILD_NUMBER: '7', BUILD_URL: 'https://jenkins.example.com/job/shop/job/main/7/', JOB_URL: 'https://jenkins.example.com/job/shop/job/main/']
        if (scenario.change) { all.CHANGE_ID = scenario.change }
        if (scenario.tag) { all.TAG_NAME = scenario.tag }
        all + params + globals + added.inject([:]) { sum, one -> sum + one }
    }

    void with(Map variables, Closure body) {
        added << variables
        try { body() } finally { added.remove(added.size() - 1) }
    }

    /** Holds an agent, on which an earlier build left a file behind. */
    void onAgent(String label, Closure body) {
        if (label == null) { body(); return }
        def outer = agent
        agent = label
        workspace().mkdirs()
        new File(workspace(), 'left-behind').text = 'of an earlier build'
        event(agent: label)
        try { body() } finally {
            event(released: label, left: workspace().list().toList().sort())
            agent = outer
        }
    }

    /** Files that an Ant pattern names. */
    List<String> matching(String pattern) {
        def root = workspace().toPath()
        def matcher = FileSystems.default.getPathMatcher("glob:${pattern}")
        def found = []
        workspace().eachFileRecurse { if (it.file && matcher.matches(root.relativize(it.toPath()))) { found << root.relativize(it.toPath()).toString() } }
        found.sort()
    }

    void keep(String where, List<String> paths) {
        paths.each { path ->
            def to = new File(folder, "${where}/${path}")
            to.parentFile.mkdirs()
            to.bytes = file(path).bytes
        }
    }
}

class Env {
    Object getProperty(String name) { Build.current.variables()[name] }
    void setProperty(String name, Object value) { Build.current.globals[name] = value == null ? '' : value.toString() }
}

/** One stage as it is written. */
class Stage {
    String name
    String label
    Closure when, steps, post
    List<Stage> stages
    Map options = [:]

    void run() {
        def build = Build.current
        build.stage = name
        def condition = new When()
        boolean wanted = true
        if (when) { condition.read(when) }
        def inner = {
            if (when && !condition.before) { wanted = condition.met() }
            if (wanted) { runWithPost() }
        }
        if (build.failed) { build.event(skipped: 'after a failure'); return }
        if (when && condition.before) { wanted = condition.met() }
        if (!wanted) { build.event(skipped: 'when'); return }
        build.event(begins: true, options: options)
        build.onAgent(label, inner)
    }

    void runWithPost() {
        def build = Build.current
        try {
            if (steps) { Dsl.call(steps, Dsl.script) }
            stages?.each { it.run() }
        } catch (Refused refused) {
            build.failed = true
            build.result = refused.result
            build.stage = name
            build.event(refused: refused.message, result: refused.result)
        }
        build.stage = name
        if (post) {
            def conditions = new Post()
            Dsl.call(post, conditions)
            conditions.run(build)
        }
    }
}

class Post {
    Map<String, Closure> blocks = [:]
    def always(Closure body) { blocks.always = body }
    def success(Closure body) { blocks.success = body }
    def unsuccessful(Closure body) { blocks.unsuccessful = body }
    def failure(Closure body) { blocks.failure = body }
    def aborted(Closure body) { blocks.aborted = body }
    def cleanup(Closure body) { blocks.cleanup = body }

    void run(Build build) {
        def bad = build.failed
        def wanted = [always: true, success: !bad, failure: build.result == 'FAILURE', aborted: build.result == 'ABORTED', unsuccessful: bad, cleanup: true]
        wanted.each { name, met -> if (met && blocks[name]) { Dsl.call(blocks[name], Dsl.script) } }
    }
}

class When {
    boolean before = false
    List<Closure> conditions = []
    void read(Closure body) { Dsl.call(body, this) }
    boolean met() { conditions.every { it() } }
    def beforeAgent(boolean value) { before = value }
    def expression(Closure body) { conditions << { Dsl.call(body, Dsl.script) as boolean } }
    def branch(String name) { conditions << { Build.current.variables().BRANCH_NAME == name } }
    def changeRequest() { conditions << { Build.current.variables().CHANGE_ID != null } }
    def buildingTag() { conditions << { Build.current.variables().TAG_NAME != null } }
    def allOf(Closure body) { def inner = of(body); conditions << { inner.conditions.every { it() } } }
    def anyOf(Closure body) { def inner = of(body); conditions << { inner.conditions.any { it() } } }
    def not(Closure body) { def inner = of(body); conditions << { !inner.met() } }
    private When of(Closure body) { def inner = new When(); inner.read(body); inner }
}

class Label { String value; def label(String name) { value = name } }

class Assignments {
    Map values = [:]
    void setProperty(String name, Object value) { values[name] = value }
    Object getProperty(String name) { name == 'values' ? this.@values : values[name] }
}

class Options {
    Map values = [:]
    def timeout(Map what) { values.timeout = "${what.time} ${what.unit}".toString() }
    def timestamps() { values.timestamps = true }
    def skipDefaultCheckout(boolean skip) { values.skipDefaultCheckout = skip }
    def buildDiscarder(Object strategy) { values.buildDiscarder = true }
    def logRotator(Map what) { what }
}

class Parameters {
    def given = Build.current.scenario.params ?: [:]
    def choice(Map what) {
        def value = given[what.name] ?: what.choices[0]
        if (!(value in what.choices)) { throw new Refused('NOT_BUILT', "${what.name} is none of ${what.choices}") }
        Build.current.params[what.name] = value
    }
    def string(Map what) { Build.current.params[what.name] = given.containsKey(what.name) ? given[what.name] : what.defaultValue }
}

class StageDsl {
    Stage stage
    def getNone() { null }
    def agent(Object none) { assert none == null }
    def agent(Closure body) { def label = new Label(); Dsl.call(body, label); stage.label = label.value }
    def when(Closure body) { stage.when = body }
    def steps(Closure body) { stage.steps = body }
    def post(Closure body) { stage.post = body }
    def options(Closure body) { def options = new Options(); Dsl.call(body, options); stage.options = options.values }
    def stages(Closure body) { def list = new StagesDsl(); Dsl.call(body, list); stage.stages = list.stages }
}

class StagesDsl {
    List<Stage> stages = []
    def stage(String name, Closure body) {
        def stage = new Stage(name: name)
        Dsl.call(body, new StageDsl(stage: stage))
        stages << stage
    }
}

class PipelineDsl {
    List<Stage> stages
    Map options
    def getNone() { null }
    def agent(Object none) { assert none == null }
    def parameters(Closure body) { Dsl.call(body, new Parameters()) }
    def options(Closure body) { def options = new Options(); Dsl.call(body, options); this.options = options.values }
    def environment(Closure body) { def values = new Assignments(); Dsl.call(body, values); Build.current.globals.putAll(values.values) }
    def stages(Closure body) { def list = new StagesDsl(); Dsl.call(body, list); stages = list.stages }
}

class Dsl {
    static Script script
    static Object call(Closure body, Object delegate) {
        def own = (Closure) body.clone()
        own.delegate = delegate
        own.resolveStrategy = Closure.DELEGATE_FIRST
        own()
    }
}

/** The steps that a Jenkinsfile may use. */
abstract class Steps extends Script {
    Build getBuild() { Build.current }
    def getEnv() { new Env() }
    def getParams() { Collections.unmodifiableMap(build.params) }
    def getScm() { 'scm' }
    def getCurrentBuild() { this }
    def getBuildCauses(String kind) {
        build.scenario.startedBy && kind == 'hudson.model.Cause$UserIdCause' ? [[userId: build.scenario.startedBy]] : []
    }

    def pipeline(Closure body) {
        Dsl.script = this
        def pipeline = new PipelineDsl()
        try {
            Dsl.call(body, pipeline)
            build.event(pipeline: pipeline.options)
            pipeline.stages.each { it.run() }
        } catch (Refused refused) {
            build.result = refused.result
            build.event(refused: refused.message, result: refused.result)
        }
        build.stage = null
        build.event(result: build.result)
    }

    def script(Closure body) { body() }
    def echo(String text) { build.event(echo: text) }
    def error(String text) { throw new Refused('FAILURE', text) }

    def sh(String line) {
        def workspace = build.workspace()
        def variables = build.variables()
        build.event(sh: line, agent: build.agent, variables: variables.keySet().findAll { it =~ /^(AWS_|SLIPWAY_|PLAN$|PREBUILT$|TARGET$)/ }.sort(), role: variables.AWS_ROLE_ARN)
        def process = new ProcessBuilder('/bin/sh', '-e', '-c', line).directory(workspace).redirectErrorStream(true)
        process.environment().clear()
        process.environment().putAll([PATH: build.scenario.path, HOME: build.folder.path, LANG: 'C.UTF-8'] + variables.collectEntries { name, value -> [name, value.toString()] })
        def running = process.start()
        running.outputStream.close()
        def output = running.inputStream.getText('UTF-8')
        def code = running.waitFor()
        build.event(output: output, code: code)
        if (code != 0) { throw new Refused('FAILURE', "script returned exit code ${code}") }
    }

    def deleteDir() { build.workspace().deleteDir(); build.workspace().mkdirs() }
    def cleanWs() { build.workspace().deleteDir(); build.workspace().mkdirs() }

    def checkout(Object scm) {
        assert scm == 'scm'
        build.event(checkout: true, over: build.workspace().list().toList().sort())
        new AntBuilder().with { project.buildListeners.each { project.removeBuildListener(it) }; copy(todir: build.workspace().path) { fileset(dir: build.scenario.sources) } }
    }

    def withEnv(List<String> variables, Closure body) {
        build.with(variables.collectEntries { def at = it.toString().indexOf('='); [it.toString().substring(0, at), it.toString().substring(at + 1)] }, body)
    }

    /** An id token as a file, which exists as long as the block runs, and never in the workspace. */
    def file(Map what) { what }
    def withCredentials(List<Map> credentials, Closure body) {
        build.workspace()
        def files = [:]
        credentials.each { one ->
            build.event(credential: one.credentialsId)
            def token = File.createTempFile('token', '')
            token.text = JsonOutput.toJson([sub: build.variables().JOB_URL])
            files[one.variable] = token.path
        }
        try { build.with(files, body) } finally { files.values().each { new File(it).delete() } }
    }

    def input(Map what) {
        build.event(asks: what.message, submitter: what.submitter, holds: build.agent)
        def answer = build.scenario.answers ? build.scenario.answers.remove(0) : [says: 'nothing']
        def allowed = what.submitter == null || answer.by in (build.scenario.groups?.get(what.submitter) ?: [])
        if (!allowed || answer.says == 'nothing') { throw new Refused('ABORTED', 'nobody who may answer did') }
        if (answer.says != 'yes') { throw new Refused('ABORTED', "rejected by ${answer.by}") }
        answer.by
    }

    def fileExists(String path) { build.file(path).exists() }
    def readFile(String path) { build.file(path).getText('UTF-8') }

    def stash(Map what) {
        def paths = build.matching(what.includes)
        if (!paths) { throw new Refused('FAILURE', "no files included in stash ‘${what.name}’") }
        build.keep("stashes/${what.name}", paths)
    }
    def unstash(Map what) {
        def name = what.name
        def from = new File(build.folder, "stashes/${name}")
        if (!from.exists()) { throw new Refused('FAILURE', "no such saved stash ‘${name}’") }
        new AntBuilder().with { project.buildListeners.each { project.removeBuildListener(it) }; copy(todir: build.workspace().path) { fileset(dir: from.path) } }
    }

    def junit(Map what) {
        def found = build.matching(what.testResults)
        found.each { new XmlSlurper().parse(build.file(it)) }
        if (!found && !what.allowEmptyResults) { throw new Refused('FAILURE', 'no test report files were found') }
        build.event(junit: found)
    }
    def archiveArtifacts(Map what) {
        def found = build.matching(what.artifacts)
        if (!found && !what.allowEmptyArchive) { throw new Refused('FAILURE', 'no artifacts found') }
        build.keep('archive', found)
        build.event(archived: found)
    }
    def publishHTML(Map what) {
        def report = build.file("${what.target.reportDir}/${what.target.reportFiles}")
        if (!report.exists() && !what.target.allowMissing) { throw new Refused('FAILURE', 'no report') }
        build.event(published: what.target.reportName, exists: report.exists())
    }
}

def configuration = new CompilerConfiguration(scriptBaseClass: Steps.name, sourceEncoding: 'UTF-8')
args.each { name ->
    def folder = new File(name)
    Build.current = new Build(scenario: new JsonSlurper().parse(new File(folder, 'scenario.json'), 'UTF-8'), folder: folder)
    try {
        new GroovyShell(getClass().classLoader, new Binding(), configuration).evaluate(new File(Build.current.scenario.jenkinsfile))
    } catch (Throwable wrong) {
        Build.current.event(wrong: wrong.toString())
    }
}
